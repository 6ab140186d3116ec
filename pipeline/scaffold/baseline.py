"""The bounds of a gate from what standard models reach on the same data: tables, and files in folders of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.console import format_number
from pipeline.scaffold.choices import round_significant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from pipeline.baseline.even_sample import EvenSample
    from pipeline.baseline.holdout import Holdout
    from pipeline.baseline.rolling import Skills
    from pipeline.formats.base import Dataset
    from pipeline.recipe import Metric
    from pipeline.scaffold.choices import Bounds

ROOT = Path("/")  # the paths are absolute here
MAX_ROWS = 10_000
MAX_CELLS = 1_000_000
MAX_TEXT_BYTES = 4 << 20
MIN_STEP = 0.1  # share of the way to guessing that a model may be behind the standard one, at least
STANDARD_ERRORS = 2  # by which it may be behind on the test split
LEAST_SHARE = 0.5  # of the way from guessing to the standard model
MOST_TIMES = 3  # the standard model's error, at most
LEAST_SKILL = 0.01  # of a forecast that is better than a naive one
LEAST_ERROR = 0.01  # share of the error of guessing that is always allowed: no training ends at zero


@dataclass(frozen=True)
class Sample:
    """Rows of a table, in step.

    Attributes:
        columns: The inputs by name, (rows, …) each.
        kinds: Kind of each input.
        truth: Class numbers or numbers, (rows,).
        classes: Names of the classes; empty for numbers.
        unit: What a row is called.
    """

    columns: Mapping[str, np.ndarray]
    kinds: Mapping[str, str]
    truth: np.ndarray
    classes: tuple[str, ...]
    unit: str = "rows"

    def select(self, names: Iterable[str]) -> Sample:
        """Returns the same rows with some of the inputs only."""
        kinds = {name: self.kinds[name] for name in names}
        return replace(self, columns={name: self.columns[name] for name in kinds}, kinds=kinds)


def read_sample(data: Dataset, rows: int, classes: tuple[str, ...]) -> Sample:
    """Reads an even sample of a table's rows.

    Args:
        data: The table.
        rows: Number of its sound rows.
        classes: Names of the classes; empty for numbers.
    """
    import numpy as np

    from pipeline.baseline.budget import thin
    from pipeline.baseline.fit import text_bytes
    from pipeline.baseline.rows import sample_examples

    kinds = data.inputs
    most = max(min(MAX_ROWS, MAX_CELLS // max(len(kinds), 1)), 500)
    label = {data.label: "bytes" if classes else "float"}
    columns = dict(sample_examples(data.examples(ROOT), {**kinds, **label}, max(-(-rows // most), 1)))
    step = thin(len(columns[data.label]), text_bytes(columns, kinds), MAX_TEXT_BYTES)
    columns = {name: values[::step] for name, values in columns.items()}
    labels = columns.pop(data.label)
    places = {name.encode(): place for place, name in enumerate(classes)}
    truth = np.array([places.get(value, -1) for value in labels]) if classes else labels
    known = truth >= 0 if classes else np.isfinite(truth)
    return Sample({name: values[known] for name, values in columns.items()}, kinds, truth[known], classes)


def gather_files(files: EvenSample, classes: tuple[str, ...], *, official: bool, unit: str) -> Sample:
    """Returns the files of a sample, without those of an official test split.

    Args:
        files: Items (split, class, content).
        classes: Names of the classes.
        official: Whether the data set has a test split of its own.
        unit: What a file is called.
    """
    import numpy as np

    places = {name: place for place, name in enumerate(classes)}
    rows = [
        (places[name], content)
        for split, name, content in files.items
        if name in places and not (official and split == "test")
    ]
    contents = np.empty(len(rows), object)
    contents[:] = [content for _, content in rows]
    truth = np.array([place for place, _ in rows], int)
    return Sample({"content": contents}, {"content": "bytes"}, truth, classes, unit)


def baseline_bounds(bounds: Bounds, sample: Sample, tested: float) -> Bounds:
    """Returns the bounds of a gate by what the best standard model reaches on rows that it has not seen.

    See `allowed_error` for how far a network may be behind. If the standard models are no better than guessing, the
    bounds stay: a model that has learnt nothing is not to pass.

    Args:
        bounds: Those above guessing, see `class_bounds` and `number_bounds` of `choices`.
        sample: Rows of the data, with the inputs of the recipe.
        tested: Rows of the test split, about.
    """
    from pipeline.baseline.holdout import hold_out

    metric = _gate_metric(bounds)
    best = hold_out(sample.columns, sample.kinds, sample.truth, len(sample.classes), _index(metric, sample))
    guess = _score_of_guess(bounds, sample)
    number = format_number(best.value)
    words = f"{bounds.baseline} {best.name.capitalize()} reaches {metric.name} {number} on {sample.unit} left out."
    bound = _bound(metric, best, guess, tested, len(sample.truth))
    if bound is None:
        return replace(bounds, baseline=f"{words} That is not better than guessing.")
    reason = f"{best.name} reaches {number} on {sample.unit} left out, guessing {format_number(guess)}"
    bounded = replace(bounds, baseline=words, reason=reason)
    if metric.higher_is_better:
        return replace(bounded, at_least={metric.name: bound})
    return replace(bounded, at_most={metric.name: bound})


def series_bounds(bounds: Bounds, skills: Sequence[Skills]) -> Bounds:
    """Returns the bounds of a forecast's gate by what a linear autoregression reaches, in its worst part of the time.

    Args:
        bounds: Those above the naive forecasts.
        skills: The autoregression's, by part; see `pipeline.baseline.rolling`.
    """
    if not skills:
        return replace(bounds, baseline="The series is too short to measure a standard model before its test begins.")
    last, best = min(skill.last for skill in skills), min(skill.best for skill in skills)
    words = (
        f"Linear autoregression errs by {format_share(1 - last)} of the error of repeating the last value and "
        f"{format_share(1 - best)} of that of the best naive forecast, in the worst of {len(skills)} parts of the time "
        "that it has not seen."
    )
    if min(last, best) < LEAST_SKILL:
        return replace(bounds, baseline=f"{words} That is not better than a naive forecast.")
    reason = f"linear autoregression has skill {last:.4g}, and {best:.4g} against the best naive forecast"
    at_least = {"skill": _skill_bound(last), "skill_best": _skill_bound(best)}
    return replace(bounds, baseline=words, reason=reason, at_least=at_least)


def _skill_bound(skill: float) -> float:
    return round(1 - allowed_error(1 - skill, 1.0, 0.0), 3)


def format_share(share: float) -> str:
    """Formats a share in percent with two digits: 0.03 %, 97 %."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"  # noqa: PLR2004 - of three digits


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
    sign, perfect = (1, 1.0) if metric.higher_is_better else (-1, 0.0)
    deviation = math.sqrt(max(best.value * (1 - best.value), 0.0)) if math.isnan(best.deviation) else best.deviation
    if not sign * (best.value - guess) > STANDARD_ERRORS * deviation / math.sqrt(max(rows, 1)):
        return None
    tested = max(tested, 1.0)
    if metric.higher_is_better:
        deviation = max(deviation, math.sqrt(1 / tested))  # no wrong row of the sample may be one of the test split
    spread = deviation / math.sqrt(tested)
    bound = perfect - sign * allowed_error(abs(perfect - best.value), abs(perfect - guess), spread)
    return round(bound, 3) if metric.higher_is_better else round_significant(bound)


def allowed_error(error: float, guess: float, spread: float) -> float:
    """Returns the error that a network may have, so that what a simpler model does far better never goes live.

    It may be behind the standard model by two standard errors on the test split or a tenth of the way to guessing, but
    not by more than half of that way; and its error is at most three times as large, unless two standard errors or a
    hundredth of what guessing has are more.

    Args:
        error: Of the standard model, on data that it has not seen.
        guess: The error of guessing.
        spread: Standard error of the measurement on the test split.
    """
    way, noise = guess - error, STANDARD_ERRORS * spread
    behind = min(max(noise, MIN_STEP * way), (1 - LEAST_SHARE) * way)
    return min(error + behind, max(MOST_TIMES * error, error + noise, LEAST_ERROR * guess))
