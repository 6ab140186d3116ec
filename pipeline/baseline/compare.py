"""The network next to the standard models: which is better by the metric that decides, and what to do if it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.baseline import words
from pipeline.baseline.words import AHEAD, BEHIND, LEVEL
from pipeline.evaluation import comparison

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from pipeline.baseline.fit import Baseline, Baselines
    from pipeline.evaluation.predictions import Predictions
    from pipeline.recipe import Metric, Recipe

CLEAR = 0.05  # share of the error by which two models differ clearly, where no test by row is possible
SMALLEST = 0.01  # share of the error below which a difference is of no use, however sure it is
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Standing:
    """Where the network stands.

    Attributes:
        verdict: "ahead", "level" or "behind" the best baseline.
        metric: The metric that decides.
        best: The name of the best baseline.
        p: Probability of so bad a result by chance, if the network is not worse; None where there is no test.
    """

    verdict: str
    metric: str
    best: str
    p: float | None = None


def report_baselines(
    recipe: Recipe, baselines: Baselines, metrics: Mapping[str, float], predictions: Predictions
) -> dict[str, Any]:
    """Returns the part `baselines` of an evaluation, see docs/journal.md.

    Args:
        recipe: The recipe.
        baselines: The standard models' results.
        metrics: The network's metrics.
        predictions: The network's predictions.
    """
    entries = [
        {"name": model.name, "metrics": dict(model.metrics), "seconds": model.seconds} for model in baselines.models
    ]
    result: dict[str, Any] = {"models": entries, "note": baselines.note}
    standing = compare_baselines(recipe, baselines.models, metrics, predictions)
    if standing is not None:
        result |= {"models": sort_models(entries, standing), **vars(standing)}
    return {**result, "words": words.describe_models(result)}


def sort_models(entries: list[dict[str, Any]], standing: Standing) -> list[dict[str, Any]]:
    """Returns the models, the best one first."""
    return sorted(entries, key=lambda entry: entry["name"] != standing.best)


def compare_baselines(
    recipe: Recipe, models: Sequence[Baseline], metrics: Mapping[str, float], predictions: Predictions
) -> Standing | None:
    """Compares the network with the best of the baselines; None if they have no metric in common."""
    metric = leading_metric(recipe, models, metrics)
    if metric is None:
        return None
    sign = -1 if metric.higher_is_better else 1
    best = min((model for model in models if metric.name in model.metrics), key=lambda m: sign * m.metrics[metric.name])
    worse = sign * (metrics[metric.name] - best.metrics[metric.name])
    chances = _chances(recipe, metric, best, metrics, predictions)
    verdict = _verdict(worse, _error(best.metrics[metric.name], metric), *chances)
    return Standing(verdict, metric.name, best.name, None if math.isnan(chances[0]) else chances[0])


def leading_metric(recipe: Recipe, models: Sequence[Baseline], metrics: Mapping[str, float]) -> Metric | None:
    """Returns the metric that decides: the gate's first that both sides have, or else the recipe's first."""
    bounded = [*recipe.gate.at_least, *recipe.gate.at_most]
    by_name = {metric.name: metric for metric in recipe.metrics}
    for name in [*(name for name in bounded if name in by_name), *by_name]:
        if math.isfinite(metrics.get(name, math.nan)) and any(name in model.metrics for model in models):
            return by_name[name]
    return None


def _chances(
    recipe: Recipe, metric: Metric, best: Baseline, metrics: Mapping[str, float], predictions: Predictions
) -> tuple[float, float]:
    """Returns the p of the paired tests that the network is worse, and that it is better; NaN if there are none.

    Two tests: of a few rows on which the models differ, one p may be 1 though the other is far from 0.
    """
    if predictions.candidate.shape != best.answers.shape:
        return math.nan, math.nan
    sides = [(predictions.candidate, metrics), (best.answers, best.metrics)]
    worse, better = (_test(recipe, metric, predictions, *pair) for pair in (sides, sides[::-1]))
    return worse, better


def _test(
    recipe: Recipe,
    metric: Metric,
    predictions: Predictions,
    one: tuple[np.ndarray, Mapping[str, float]],
    other: tuple[np.ndarray, Mapping[str, float]],
) -> float:
    """Returns the p of the test that one model is worse than the other."""
    both = replace(predictions, candidate=one[0], live=other[0])
    test = comparison.compare_models(replace(recipe, metrics=(metric,)), both, one[1], other[1]).get(metric.name)
    return math.nan if test is None else test.p


def _error(value: float, metric: Metric) -> float:
    """Returns how far a metric is from perfect."""
    return max(abs(1 - value) if metric.higher_is_better else abs(value), 1e-12)


def _verdict(behind: float, error: float, p_worse: float, p_better: float) -> str:
    if math.isnan(p_worse) or math.isnan(p_better):
        return BEHIND if behind > CLEAR * error else AHEAD if behind < -CLEAR * error else LEVEL
    if behind > SMALLEST * error and p_worse <= SIGNIFICANCE:
        return BEHIND
    return AHEAD if behind < -SMALLEST * error and p_better <= SIGNIFICANCE else LEVEL
