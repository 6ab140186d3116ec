"""Columns of a table that tell its target: copies, linear images, and near-perfect predictors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.scaffold.render import safe_name

if TYPE_CHECKING:
    import numpy as np

    from pipeline.scaffold.baseline import Sample
    from pipeline.scaffold.choices import Role

SAME = 1e-6  # share of the target's variance that a linear image of it leaves
ENOUGH_VALUES = 10  # so many different numbers in the same order are no chance
PERFECT = 0.995  # share of the rows, or of the variance, that one column tells
OBVIOUS = 0.95  # share of the rows that guessing tells


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
