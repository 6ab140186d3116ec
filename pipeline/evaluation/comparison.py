"""The metrics of a recipe with their intervals, overall and in slices, and against the live model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import row_metrics, statistics
from pipeline.recipe import Time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.evaluation.predictions import Predictions
    from pipeline.evaluation.statistics import Comparison, Interval
    from pipeline.recipe import Metric, Recipe

# TFMA adds up an area from thresholds, here it is exact.
NEAR = 0.01


def comparisons(
    recipe: Recipe, found: Predictions, metrics: Mapping[str, float], baseline: Mapping[str, float] | None
) -> dict[str, Comparison]:
    """The paired test of each metric that has values by row; none without a live model.

    Args:
        recipe: Declares the metrics.
        found: The answers of both models.
        metrics: The candidate's numbers, as they were measured.
        baseline: The live model's.
    """
    if found.live is None or baseline is None:
        return {}
    told = {metric.name: _compared(metric, recipe, found, metrics, baseline) for metric in recipe.metrics}
    return {name: comparison for name, comparison in told.items() if comparison}


def _compared(
    metric: Metric, recipe: Recipe, found: Predictions, metrics: Mapping[str, float], baseline: Mapping[str, float]
) -> Comparison | None:
    assert found.live is not None
    sides = [(found.candidate, metrics.get(metric.name, math.nan)), (found.live, baseline.get(metric.name, math.nan))]
    candidate, live = (row_metrics.of(metric, found.kind, found.truth, *side) for side in sides)
    if candidate is not None and live is not None:
        in_order = isinstance(recipe.split, Time)
        return statistics.of_means(candidate, live, higher=metric.higher_is_better, in_order=in_order)
    first, second = (_area(metric, found, *side, recipe.data.classes) for side in sides)
    return statistics.of_areas(first[0], first[1], second[1]) if first and second else None


def _area(
    metric: Metric, found: Predictions, answers: np.ndarray, value: float, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """What a metric that is an area is of; None if it is another, or of something else under the same name."""
    told = row_metrics.scores(metric, found.kind, found.truth, answers, classes)
    if told is None:
        return None
    (exact,), _ = row_metrics.areas(told[0], told[1][None])
    return told if abs(exact - value) <= NEAR else None


def overall(recipe: Recipe, found: Predictions, metrics: Mapping[str, float]) -> dict[str, list[float]]:
    """The 95 % interval of each metric that has values by row: {metric: [low, high]}."""
    everywhere = np.ones(len(found.truth), bool)
    told = {name: _interval(name, recipe, found, metrics, everywhere) for name in metrics}
    return {name: list(interval) for name, interval in told.items() if interval}


def sliced(recipe: Recipe, found: Predictions, metrics: Mapping[str, float], slices: list[dict[str, Any]]) -> Any:
    """The slices, each with `intervals`: {metric: [low, high]}.

    Args:
        recipe: Declares the metrics.
        found: The answers.
        metrics: The candidate's numbers over the whole test split, by which values by row are known to be the metric's.
        slices: As in `Measured`.
    """
    return [{**part, "intervals": _of_slice(recipe, found, metrics, part)} for part in slices]


def _of_slice(
    recipe: Recipe, found: Predictions, metrics: Mapping[str, float], part: Mapping[str, Any]
) -> dict[str, list[float]]:
    feature, _, value = part["slice"].partition("=")
    if feature not in found.slices or not found.kind:
        return {}
    rows = found.slices[feature] == value
    if rows.sum() != part["examples"]:  # another way to write the value
        return {}
    told = {name: _interval(name, recipe, found, metrics, rows) for name in part["metrics"]}
    return {name: list(interval) for name, interval in told.items() if interval}


def _interval(
    name: str, recipe: Recipe, found: Predictions, metrics: Mapping[str, float], rows: np.ndarray
) -> Interval | None:
    metric = next((metric for metric in recipe.metrics if metric.name == name), None)
    if metric is None or not found.kind:
        return None
    values = row_metrics.of(metric, found.kind, found.truth, found.candidate, metrics[name])
    if values is not None:
        units = statistics.stretches(values[rows]) if isinstance(recipe.split, Time) else values[rows]
        return _finite(statistics.mean(units))
    told = _area(metric, found, found.candidate, metrics[name], recipe.data.classes)
    if told is None:
        return None
    (value,), variance = row_metrics.areas(told[0][rows], told[1][None, rows])
    return _finite(statistics.area(float(value), float(variance[0, 0])))


def _finite(interval: Interval) -> Interval | None:
    return interval if all(map(math.isfinite, interval)) else None
