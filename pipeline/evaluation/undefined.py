"""Metrics that a set of rows does not define: the AUC of one class, R² of one row. TFMA and Keras answer 0 there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import row_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.evaluation.predictions import Predictions
    from pipeline.recipe import Metric, Recipe

AREAS = {"auc", "AUC", "AUCPrecisionRecall", "AUCCurve", "PrecisionAtRecall", "RecallAtPrecision"}
AREAS |= {"SensitivityAtSpecificity", "SpecificityAtSensitivity"}
SHARES_OF_POSITIVES = {"Recall", "TPR", "FNR", "TruePositiveRate"}
SHARES_OF_VARIANCE = {"R2", "R2Score", "PearsonCorrelation", "SquaredPearsonCorrelation", "SpearmanCorrelation"}


def drop_undefined(
    recipe: Recipe, predictions: Predictions, metrics: Mapping[str, float], rows: np.ndarray | None = None
) -> dict[str, float | None]:
    """Returns the metrics, None for each that is not defined on the rows or is NaN.

    Args:
        recipe: The recipe.
        predictions: The predictions, for the truth of each row.
        metrics: The metrics by name.
        rows: Which rows were measured, (rows of the test split,); None for all.
    """
    truth = predictions.truth if rows is None else predictions.truth[rows]
    undefined = {metric.name for metric in recipe.metrics if _is_undefined(metric, predictions.kind, truth, recipe)}
    return {name: None if name in undefined or math.isnan(value) else value for name, value in metrics.items()}


def drop_undefined_in_slices(
    recipe: Recipe, predictions: Predictions, slices: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Returns the slices, their metrics as by `drop_undefined`."""
    return [
        {**part, "metrics": drop_undefined(recipe, predictions, part["metrics"], rows_of_slice(predictions, part))}
        for part in slices
    ]


def rows_of_slice(predictions: Predictions, part: Mapping[str, Any]) -> np.ndarray | None:
    """Returns which rows are in a slice, (rows,); None if that is not known: TFMA may format a value differently."""
    feature, _, value = part["slice"].partition("=")
    if feature not in predictions.slices or not predictions.kind:
        return None
    rows = predictions.slices[feature] == value
    return rows if rows.sum() == part["examples"] else None


def _is_undefined(metric: Metric, kind: str, truth: np.ndarray, recipe: Recipe) -> bool:
    name = metric.tfma or row_metrics.TFMA_NAMES.get(metric.name, metric.name)
    if kind == "numbers" and name in SHARES_OF_VARIANCE:
        return not len(truth) or bool((truth == truth[:1]).all())
    positive = _positives(metric, kind, truth, recipe) if name in AREAS | SHARES_OF_POSITIVES else None
    if positive is None:
        return False
    return not positive.any() or (name in AREAS and bool(positive.all()))


def _positives(metric: Metric, kind: str, truth: np.ndarray, recipe: Recipe) -> np.ndarray | None:
    """Returns whether each row is positive; None if the metric is not one of two classes."""
    if kind == "score" or (kind == "numbers" and set(np.unique(truth).tolist()) <= {0, 1}):
        return truth > 0
    classes = recipe.data.classes
    if kind != "classes" or not metric.positive:
        return None
    return truth == classes.index(metric.positive)
