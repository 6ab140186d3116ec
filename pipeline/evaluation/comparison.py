"""Confidence intervals of a candidate's metrics, overall and by slice, and paired tests against the champion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import row_metrics, statistics
from pipeline.evaluation.undefined import rows_of_slice
from pipeline.recipe import Time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.evaluation.predictions import Predictions
    from pipeline.evaluation.statistics import Comparison, Interval
    from pipeline.recipe import Metric, Recipe

# TFMA approximates an area by thresholds, here it is exact.
AREA_TOLERANCE = 0.01


def compare_models(
    recipe: Recipe, predictions: Predictions, metrics: Mapping[str, float], baseline: Mapping[str, float] | None
) -> dict[str, Comparison]:
    """Returns the paired test of each metric that has values by row; empty without a champion (the live model).

    Args:
        recipe: The recipe, for its metrics.
        predictions: The predictions of both models.
        metrics: The candidate's metrics.
        baseline: The champion's metrics.
    """
    if predictions.live is None or baseline is None:
        return {}
    by_metric = {
        metric.name: _compare_metric(metric, recipe, predictions, metrics, baseline) for metric in recipe.metrics
    }
    return {name: comparison for name, comparison in by_metric.items() if comparison}


def _compare_metric(
    metric: Metric,
    recipe: Recipe,
    predictions: Predictions,
    metrics: Mapping[str, float],
    baseline: Mapping[str, float],
) -> Comparison | None:
    assert predictions.live is not None
    sides = [
        (predictions.candidate, metrics.get(metric.name, math.nan)),
        (predictions.live, baseline.get(metric.name, math.nan)),
    ]
    candidate, live = (row_metrics.row_values(metric, predictions.kind, predictions.truth, *side) for side in sides)
    if candidate is not None and live is not None:
        in_order = isinstance(recipe.split, Time)
        return statistics.compare_means(candidate, live, higher=metric.higher_is_better, in_order=in_order)
    first, second = (_area_inputs(metric, predictions, *side, recipe.data.classes) for side in sides)
    return statistics.compare_areas(first[0], first[1], second[1]) if first and second else None


def _area_inputs(
    metric: Metric, predictions: Predictions, answers: np.ndarray, value: float, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the inputs of a metric that is an area; None if its value is not that of the area."""
    inputs = row_metrics.binary_scores(metric, predictions.kind, predictions.truth, answers, classes)
    if inputs is None:
        return None
    (exact,), _ = row_metrics.roc_areas(inputs[0], inputs[1][None])
    return inputs if abs(exact - value) <= AREA_TOLERANCE else None


def overall_intervals(recipe: Recipe, predictions: Predictions, metrics: Mapping[str, float]) -> dict[str, list[float]]:
    """Returns the 95 % interval of each metric that has values by row: {metric: [low, high]}."""
    everywhere = np.ones(len(predictions.truth), bool)
    intervals = {name: _metric_interval(name, recipe, predictions, metrics, everywhere) for name in metrics}
    return {name: list(interval) for name, interval in intervals.items() if interval}


def add_slice_intervals(
    recipe: Recipe, predictions: Predictions, metrics: Mapping[str, float], slices: list[dict[str, Any]]
) -> Any:
    """Returns the slices, each with `intervals`: {metric: [low, high]}.

    Args:
        recipe: The recipe, for its metrics.
        predictions: The predictions.
        metrics: The candidate's metrics over the whole test split, to verify that values by row have this mean.
        slices: As in `Measurements`.
    """
    return [{**part, "intervals": _slice_intervals(recipe, predictions, metrics, part)} for part in slices]


def _slice_intervals(
    recipe: Recipe, predictions: Predictions, metrics: Mapping[str, float], part: Mapping[str, Any]
) -> dict[str, list[float]]:
    rows = rows_of_slice(predictions, part)
    if rows is None:
        return {}
    intervals = {name: _metric_interval(name, recipe, predictions, metrics, rows) for name in part["metrics"]}
    return {name: list(interval) for name, interval in intervals.items() if interval}


def _metric_interval(
    name: str, recipe: Recipe, predictions: Predictions, metrics: Mapping[str, float], rows: np.ndarray
) -> Interval | None:
    metric = next((metric for metric in recipe.metrics if metric.name == name), None)
    if metric is None or not predictions.kind:
        return None
    values = row_metrics.row_values(metric, predictions.kind, predictions.truth, predictions.candidate, metrics[name])
    if values is not None:
        units = statistics.block_means(values[rows]) if isinstance(recipe.split, Time) else values[rows]
        return _if_finite(statistics.mean_interval(units))
    inputs = _area_inputs(metric, predictions, predictions.candidate, metrics[name], recipe.data.classes)
    if inputs is None:
        return None
    (value,), variance = row_metrics.roc_areas(inputs[0][rows], inputs[1][None, rows])
    return _if_finite(statistics.area_interval(float(value), float(variance[0, 0])))


def _if_finite(interval: Interval) -> Interval | None:
    return interval if all(map(math.isfinite, interval)) else None
