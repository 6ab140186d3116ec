"""The bounds of a table's gate from what standard models reach on it, and columns that tell the target alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import format_number
from pipeline.scaffold.choices import round_significant
from pipeline.scaffold.render import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from pipeline.baseline.holdout import Holdout
    from pipeline.formats.base import Dataset
    from pipeline.recipe import Metric
    from pipeline.scaffold.choices import Bounds, Role

ROOT = Path("/")  # the paths are absolute here
MAX_ROWS = 10_000
MAX_CELLS = 1_000_000
MIN_STEP = 0.1  # share of the way to guessing that a model may be behind the standard one, at least
STANDARD_ERRORS = 2  # by which it may be behind on the test split
LEAST_SHARE = 0.5  # of the way from guessing to the standard model
SAME = 1e-6  # share of the target's variance that a linear image of it leaves
ENOUGH_VALUES = 10  # so many different numbers in the same order are no chance
PERFECT = 0.995  # share of the rows, or of the variance, that one column tells
OBVIOUS = 0.95  # share of the rows that guessing tells


@dataclass(frozen=True)
class Sample:
    """Rows of a table, in step.

    Attributes:
        columns: The inputs by name, (rows, …) each.
        kinds: Kind of each input.
        truth: Class numbers or numbers, (rows,).
        classes: Names of the classes; empty for numbers.
    """

    columns: Mapping[str, np.ndarray]
    kinds: Mapping[str, str]
    truth: np.ndarray
    classes: tuple[str, ...]


def read_sample(data: Dataset, rows: int, classes: tuple[str, ...]) -> Sample:
    """Reads an even sample of a table's rows.

    Args:
        data: The table.
        rows: Number of its sound rows.
        classes: Names of the classes; empty for numbers.
    """
    import numpy as np

    from pipeline.baseline.rows import sample_examples

    kinds = data.inputs
    most = max(min(MAX_ROWS, MAX_CELLS // max(len(kinds), 1)), 500)
    label = {data.label: "bytes" if classes else "float"}
    columns = dict(sample_examples(data.examples(ROOT), {**kinds, **label}, max(-(-rows // most), 1)))
    labels = columns.pop(data.label)
    places = {name.encode(): place for place, name in enumerate(classes)}
    truth = np.array([places.get(value, -1) for value in labels]) if classes else labels
    known = truth >= 0 if classes else np.isfinite(truth)
    return Sample({name: values[known] for name, values in columns.items()}, kinds, truth[known], classes)


def find_images(sample: Sample) -> dict[str, str]:
    """Returns the columns that are the target in another unit or scale, each with what it is.

    A column of numbers is one if it is a linear function of a target of numbers, or if it has the same order.
    """
    if sample.classes:
        return {}
    numbers = {name: values for name, values in sample.columns.items() if sample.kinds[name] in ("float", "int")}
    images = {name: _image_words(values, sample.truth) for name, values in numbers.items()}
    return {name: words for name, words in images.items() if words}


def _image_words(values: np.ndarray, truth: np.ndarray) -> str:
    import numpy as np

    known = np.isfinite(values)
    if known.sum() < max(len(truth) // 2, ENOUGH_VALUES) or len(np.unique(truth[known])) < ENOUGH_VALUES:
        return ""
    column, target = values[known].astype(float), truth[known]
    if np.array_equal(column, target):
        return "a copy of {}"
    slope, start = _fit_line(target, column)
    if slope and np.var(column - start - slope * target) <= SAME * np.var(column):
        return f"{{}} in another unit ({slope:.4g} times, plus {start:.4g})"
    return "{} on another scale, in the same order" if _same_order(column, target) else ""


def _fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    centered = x - x.mean()
    spread = float((centered**2).sum())
    slope = float((centered * (y - y.mean())).sum()) / spread if spread else 0.0
    return slope, float(y.mean() - slope * x.mean())


def _same_order(column: np.ndarray, target: np.ndarray) -> bool:
    """Whether each sorts the rows like the other, up or down, equal rows included."""
    import numpy as np

    ranks = np.unique(target, return_inverse=True)[1]
    others = np.unique(column, return_inverse=True)[1]
    return np.array_equal(ranks, others) or np.array_equal(ranks, others.max() - others)


def find_leaks(sample: Sample, roles: list[Role]) -> list[str]:
    """Returns the used columns that predict the target nearly perfectly, each by itself."""
    used = [role.column.name for role in roles if role.use and role.use not in ("text", "vector")]
    if len(used) < 2 or _is_obvious(sample):  # noqa: PLR2004  (the only column is to tell the target)
        return []
    return [name for name in used if _tells_alone(sample, name)]


def _is_obvious(sample: Sample) -> bool:
    import numpy as np

    return bool(sample.classes) and np.bincount(sample.truth).max() > OBVIOUS * len(sample.truth)


def _tells_alone(sample: Sample, name: str) -> bool:
    """Whether a small tree of one column answers nearly all rows that it has not seen."""
    from sklearn.model_selection import cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    from pipeline.baseline import encoders, inputs

    uses = inputs.choose_uses(sample.columns, {name: sample.kinds[name]})
    rows = encoders.TreeEncoder().fit_transform(inputs.encode({name: sample.columns[name]}, uses))
    if sample.classes:
        tree = DecisionTreeClassifier(min_samples_leaf=3, random_state=0)
        return float((_predict(cross_val_predict, tree, rows, sample) == sample.truth).mean()) >= PERFECT
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    allowed = (1 - PERFECT) * sample.truth.var()
    if (_predict(cross_val_predict, tree, rows, sample) - sample.truth).var() <= allowed:
        return True
    column = rows[:, 0]
    slope, start = _fit_line(column, sample.truth)
    return bool((sample.truth - start - slope * column).var() <= allowed)


def _predict(cross_val_predict: Any, tree: Any, rows: np.ndarray, sample: Sample) -> np.ndarray:
    import warnings

    from sklearn.model_selection import KFold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers: np.ndarray = cross_val_predict(tree, rows, sample.truth, cv=KFold(3, shuffle=True, random_state=1))
    return answers


def leak_notes(names: list[str], target: str) -> list[str]:
    """Returns the warning about columns that predict the target nearly perfectly."""
    return [
        f"Possible leak: {safe_name(name)} alone predicts {safe_name(target)} nearly perfectly; "
        "if it is known only afterwards, remove it from the recipe."
        for name in names
    ]


def baseline_bounds(bounds: Bounds, sample: Sample, roles: list[Role], tested: float) -> Bounds:
    """Returns the bounds of a gate by what the best standard model reaches on rows that it has not seen.

    A model may be behind the standard one by two standard errors on the test split or a tenth of the way to guessing,
    but not by more than half of that way. If the standard models are no better than guessing, the bounds
    stay: a model that has learnt nothing is not to pass.

    Args:
        bounds: Those above guessing, see `class_bounds` and `number_bounds` of `choices`.
        sample: Rows of the table.
        roles: The use of each column.
        tested: Rows of the test split, about.
    """
    from pipeline.baseline.holdout import hold_out

    metric = _gate_metric(bounds)
    kinds = {role.column.name: sample.kinds[role.column.name] for role in roles if role.use}
    best = hold_out(
        {name: sample.columns[name] for name in kinds}, kinds, sample.truth, len(sample.classes), _index(metric, sample)
    )
    guess = _score_of_guess(bounds, sample)
    number = format_number(best.value)
    words = f"{bounds.baseline} {best.name.capitalize()} reaches {metric.name} {number} on rows left out."
    bound = _bound(metric, best, guess, tested, len(sample.truth))
    if bound is None:
        return replace(bounds, baseline=f"{words} That is not better than guessing.")
    reason = f"{best.name} reaches {number} on rows left out, guessing {format_number(guess)}"
    bounded = replace(bounds, baseline=words, reason=reason)
    if metric.higher_is_better:
        return replace(bounded, at_least={metric.name: bound})
    return replace(bounded, at_most={metric.name: bound})


def _gate_metric(bounds: Bounds) -> Metric:
    from pipeline.recipe import Metric

    name = next(iter([*bounds.at_least, *bounds.at_most]))
    names = {"accuracy": "SparseCategoricalAccuracy", "auc": "AUC", "mae": "MeanAbsoluteError"}
    positive = bounds.positive if name == "auc" else ""
    return Metric(name, names.get(name, ""), positive=positive, higher_is_better=name not in bounds.at_most)


def _index(metric: Metric, sample: Sample) -> Metric:
    """Names the positive class by its number, as `hold_out` does."""
    return replace(metric, positive=str(sample.classes.index(metric.positive))) if metric.positive else metric


def _score_of_guess(bounds: Bounds, sample: Sample) -> float:
    """Returns what guessing reaches in the metric of the gate."""
    import numpy as np

    if not sample.classes:
        return float(np.abs(sample.truth - np.median(sample.truth)).mean())
    name = next(iter(bounds.at_least))
    share = float(np.bincount(sample.truth).max()) / len(sample.truth)
    return {"accuracy": share, "auc": 0.5}.get(name, 1 / len(sample.classes))


def _bound(metric: Metric, best: Holdout, guess: float, tested: float, rows: int) -> float | None:
    """Returns the bound; None if the standard model is not better than guessing."""
    sign = 1 if metric.higher_is_better else -1
    deviation = math.sqrt(max(best.value * (1 - best.value), 0.0)) if math.isnan(best.deviation) else best.deviation
    gain = sign * (best.value - guess)
    if not gain > STANDARD_ERRORS * deviation / math.sqrt(max(rows, 1)):
        return None
    step = max(STANDARD_ERRORS * deviation / math.sqrt(max(tested, 1.0)), MIN_STEP * gain)
    bound = best.value - sign * min(step, (1 - LEAST_SHARE) * gain)
    return round(bound, 3) if metric.higher_is_better else round_significant(bound)
