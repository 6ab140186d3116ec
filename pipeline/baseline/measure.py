"""The metrics of a standard model on the test split: the recipe's own, so that they stand next to the network's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import predictions, row_metrics

if TYPE_CHECKING:
    from pipeline.baseline.rows import Columns, Splits
    from pipeline.recipe import Metric, Recipe


@dataclass(frozen=True)
class Answers:
    """A standard model that answers like the served network, for the recipe's `score`.

    Attributes:
        model: The model.
        recipe: The recipe.
    """

    model: Any
    recipe: Recipe

    def predict(self, signature: str, rows: Columns) -> dict[str, np.ndarray]:  # noqa: ARG002  (it has one)
        """Returns the outputs by name: `label` and `probabilities`, or `value`, and what the recipe calls them."""
        answers = np.asarray(self.model.predict(rows))
        names = np.array([name.encode() for name in self.recipe.data.classes], object)
        if len(names):
            return {"probabilities": answers, "label": names[answers.argmax(axis=1)]}
        return dict.fromkeys(("value", "forecast", self.recipe.predicted or "value"), answers)


def keep_labelled(columns: Columns, data: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the rows that have a label, and their class numbers or numbers.

    Args:
        columns: The rows.
        data: The data set.
    """
    labels = columns.get(data.label, np.zeros(0))
    if data.classes:
        places = {name.encode(): place for place, name in enumerate(data.classes)}
        truth = np.array([places.get(label, -1) for label in labels], int)
        known = truth >= 0
    else:
        truth = np.asarray(labels, np.float64)
        known = np.isfinite(truth.reshape(len(truth), -1)).all(axis=1) if len(truth) else np.zeros(0, bool)
    return {name: values[known] for name, values in columns.items()}, truth[known]


def measure(recipe: Recipe, splits: Splits, model: Any, answers: np.ndarray) -> dict[str, float]:
    """Returns the metrics that are defined for the model.

    Args:
        recipe: The recipe.
        splits: Its rows.
        model: The model.
        answers: Its answers on the test split.
    """
    own = _own_scores(recipe, splits, model)
    _, truth = keep_labelled(splits.test, recipe.data)
    if len(truth) != len(answers):  # rows without a label have no metric
        return {}
    values = {
        metric.name: own[metric.name]
        if not metric.tfma and metric.name in own
        else metric_value(metric, truth, answers, recipe.data.classes)
        for metric in recipe.metrics
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _own_scores(recipe: Recipe, splits: Splits, model: Any) -> dict[str, float]:
    """Returns what the recipe's `score` says; nothing if it needs more than a standard model has."""
    if recipe.score is None or recipe.needs:
        return {}
    try:
        return {name: float(value) for name, value in recipe.score(Answers(model, recipe), splits, {}).items()}
    except Exception:  # noqa: BLE001  (it may ask for an output or a signature of the network)
        return {}


def metric_value(metric: Metric, truth: np.ndarray, answers: np.ndarray, classes: tuple[str, ...]) -> float:
    """Returns a metric of answers; NaN if it is none of those that have values by row, and no area.

    Args:
        metric: The metric.
        truth: Class numbers, numbers, or vectors of numbers, (rows, …).
        answers: Probabilities (rows, classes), or numbers like `truth`.
        classes: The declared classes.
    """
    kind = predictions.answer_kind(truth, answers, len(classes), named=False)
    binary = row_metrics.binary_scores(metric, kind, truth, answers, classes)
    if binary is not None:
        return float(row_metrics.roc_areas(binary[0], binary[1][None])[0][0])
    rows = metric_rows(metric, truth, answers, classes)
    return math.nan if rows is None else float(rows.mean())


def metric_rows(metric: Metric, truth: np.ndarray, answers: np.ndarray, classes: tuple[str, ...]) -> np.ndarray | None:
    """Returns values (rows,) whose mean is the metric; None if it is no such mean. See `metric_value`."""
    kind = predictions.answer_kind(truth, answers, len(classes), named=False)
    named = metric.tfma or row_metrics.TFMA_NAMES.get(metric.name, metric.name)
    compute = row_metrics.METRICS_BY_KIND.get(kind, {}).get(named)
    if compute is None or metric.positive or not len(truth):
        return None
    return compute(truth, answers.astype(np.float64), metric)
