"""What the standard models reach on rows that they have not seen, before there is a recipe: for the bounds of its gate.

Each row is answered by models that were fitted without it (cross-validation: M. Stone, Cross-validatory choice and
assessment of statistical predictions, Journal of the Royal Statistical Society B 36(2), 1974).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.baseline import inputs, measure, models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.baseline.rows import Columns
    from pipeline.recipe import Metric

FOLDS, MANY_ROWS = 3, 5000  # of many rows a third is enough to measure on
SEED = 1


@dataclass(frozen=True)
class Holdout:
    """The best standard model on rows that it has not seen.

    Attributes:
        name: What the model is called.
        value: The metric.
        deviation: Standard deviation of a row's part in it; NaN if the metric is no mean over rows.
    """

    name: str
    value: float
    deviation: float


def hold_out(columns: Columns, kinds: Mapping[str, str], truth: np.ndarray, classes: int, metric: Metric) -> Holdout:
    """Fits the standard models without a part of the rows, and measures them on that part.

    Args:
        columns: The inputs by name, (rows, …) each.
        kinds: Kind of each input.
        truth: Class numbers or numbers, (rows,).
        classes: Number of classes; 0 for numbers.
        metric: What counts; of an area the class 1 is the positive one.
    """
    task = models.Task(kinds, classes, balanced=metric.name == "balanced_accuracy")
    uses = inputs.choose_uses(columns, kinds)
    encoded = inputs.encode(columns, uses)
    parts = divide_rows(encoded)
    tested = parts == 0 if len(truth) > MANY_ROWS else np.ones(len(truth), bool)
    with models.one_thread():
        candidates = [
            _measure(name, answers[tested], truth[tested], classes, metric)
            for name, answers in _answers(task, uses, encoded, truth, parts, tested)
        ]
    sign = 1 if metric.higher_is_better else -1
    return max(candidates, key=lambda one: sign * one.value)


def divide_rows(rows: inputs.Inputs) -> np.ndarray:
    """Returns the part of each row, (rows,); equal rows are in one part, as they are on one side of a run's split."""
    numbers: dict[tuple[object, ...], int] = {}
    texts = rows.texts if rows.texts is not None else [""] * len(rows.numbers)
    keys = zip((row.tobytes() for row in rows.numbers), map(tuple, rows.categories), texts, strict=True)
    groups = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    return (np.random.default_rng(SEED).permutation(len(numbers)) % FOLDS)[groups]


def _answers(
    task: models.Task,
    uses: Mapping[str, str],
    rows: inputs.Inputs,
    truth: np.ndarray,
    parts: np.ndarray,
    tested: np.ndarray,
) -> list[tuple[str, np.ndarray]]:
    answers: dict[str, np.ndarray] = {}
    for part in np.unique(parts[tested]):
        outside, inside = parts != part, parts == part
        fitted = rows.take(outside)
        for model in models.make_models(task, uses, fitted):
            model.fit(fitted, truth[outside])
            given = model.predict_inputs(rows.take(inside))
            answers.setdefault(model.name, np.zeros((len(truth), *given.shape[1:])))[inside] = given
    return list(answers.items())


def _measure(name: str, answers: np.ndarray, truth: np.ndarray, classes: int, metric: Metric) -> Holdout:
    names = tuple(map(str, range(classes)))
    value = measure.metric_value(metric, truth, answers, names)
    rows = measure.metric_rows(metric, truth, answers, names)
    return Holdout(name, value, math.nan if rows is None else float(rows.std()))
