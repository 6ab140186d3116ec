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


def labelled(columns: Columns, data: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
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
    _, truth = labelled(splits.test, recipe.data)
    if len(truth) != len(answers):  # rows without a label have no metric
        return {}
    kind = predictions.answer_kind(truth, answers, len(recipe.data.classes), named=False)
    values = {metric.name: _value(metric, kind, truth, answers, recipe, own) for metric in recipe.metrics}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _own_scores(recipe: Recipe, splits: Splits, model: Any) -> dict[str, float]:
    """Returns what the recipe's `score` says; nothing if it needs more than a standard model has."""
    if recipe.score is None or recipe.needs:
        return {}
    try:
        return {name: float(value) for name, value in recipe.score(Answers(model, recipe), splits, {}).items()}
    except Exception:  # noqa: BLE001  (it may ask for an output or a signature of the network)
        return {}


def _value(
    metric: Metric, kind: str, truth: np.ndarray, answers: np.ndarray, recipe: Recipe, own: dict[str, float]
) -> float:
    if not metric.tfma and metric.name in own:
        return own[metric.name]
    binary = row_metrics.binary_scores(metric, kind, truth, answers, recipe.data.classes)
    if binary is not None:
        return float(row_metrics.roc_areas(binary[0], binary[1][None])[0][0])
    named = row_metrics.TFMA_NAMES.get(metric.name, metric.name)
    compute = row_metrics.METRICS_BY_KIND.get(kind, {}).get(metric.tfma or named)
    if compute is None or metric.positive:
        return math.nan
    return float(compute(truth, answers.astype(np.float64), metric).mean())
