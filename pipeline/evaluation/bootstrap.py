"""Metrics that are no mean over rows (mAP, BLEU, word error rate), with intervals, slices and a paired test.

A recipe's `score` returns such a metric as a `Statistic`: a function of any rows of the test split. Its interval comes
from samples of rows with replacement; two models are compared on the same samples.

Sources: B. Efron, R. Tibshirani, An introduction to the bootstrap, 1993, chapters 13 (percentile intervals) and 16
(tests, from samples shifted to the null hypothesis); P. Koehn, Statistical significance tests for machine translation
evaluation, EMNLP 2004, sections 3 and 4 (the same rows for both models).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.predictions import slice_value
from pipeline.evaluation.statistics import LEVEL, MAX_BLOCKS, SEED, Comparison
from pipeline.recipe import Time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.recipe import Recipe

    Scores = Mapping[str, "float | Statistic"]

RESAMPLES = 1000
ROUNDING = 1e-12  # of sums in another order
MIN_ROWS = 2


@dataclass(frozen=True)
class Statistic:
    """A metric that can be computed over any rows.

    Attributes:
        rows: Number of rows of the test split, or of other units such as users, if the metric is one of these.
        over: (numbers of rows, (n,)) -> the metric over these rows, of which some may occur repeatedly; NaN where they
            do not define it.
    """

    rows: int
    over: Callable[[np.ndarray], float]

    @property
    def value(self) -> float:
        """The metric over all rows."""
        return float(self.over(np.arange(self.rows)))


def mean_of(values: np.ndarray) -> Statistic:
    """Returns the mean of values (rows,) as a statistic; NaN values are left out of it."""

    def over(rows: np.ndarray) -> float:
        known = values[rows][~np.isnan(values[rows])]
        return float(known.mean()) if len(known) else math.nan

    return Statistic(len(values), over)


def plain_values(scores: Scores) -> dict[str, float]:
    """Returns the metrics as numbers."""
    return {name: score.value if isinstance(score, Statistic) else float(score) for name, score in scores.items()}


def overall_intervals(recipe: Recipe, scores: Scores) -> dict[str, list[float]]:
    """Returns the 95 % interval of each statistic: {metric: [low, high]}."""
    in_order = isinstance(recipe.split, Time)
    intervals = {
        name: interval(score, np.arange(score.rows), in_order=in_order)
        for name, score in find_statistics(scores).items()
    }
    return {name: limits for name, limits in intervals.items() if limits}


def interval(statistic: Statistic, rows: np.ndarray, *, in_order: bool = False) -> list[float]:
    """Returns the percentile interval [low, high] over some rows; empty if it is not defined there.

    Nor is there one for a metric that counts distinct things, such as coverage: a sample with replacement has fewer of
    them, so that all samples lie below the metric itself.
    """
    values = np.array([statistic.over(sample) for sample in draw_samples(rows, in_order=in_order)])
    limits = _limits(values)
    return limits if _contain(limits, statistic.over(rows)) else []


def _limits(values: np.ndarray) -> list[float]:
    known = values[np.isfinite(values)]
    if len(known) < RESAMPLES / 2:
        return []
    return [float(limit) for limit in np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))]


def _contain(limits: list[float], value: float) -> bool:
    return bool(limits) and limits[0] - ROUNDING <= value <= limits[1] + ROUNDING


def draw_samples(rows: np.ndarray, *, in_order: bool) -> list[np.ndarray]:
    """Returns samples of rows with replacement; of blocks of neighbours if rows are correlated; always the same."""
    random = np.random.default_rng(SEED)
    if len(rows) < MIN_ROWS:
        return []
    if not in_order:
        return [rows[random.integers(0, len(rows), len(rows))] for _ in range(RESAMPLES)]
    blocks = np.array_split(rows, max(MIN_ROWS, min(MAX_BLOCKS, math.isqrt(len(rows)))))
    draws = random.integers(0, len(blocks), (RESAMPLES, len(blocks)))
    return [np.concatenate([blocks[place] for place in draw]) for draw in draws]


def measure_slices(scores: Scores, features: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Returns the statistics in every slice: {"slice": "feature=value", "examples", "metrics", "intervals"}.

    Args:
        scores: The metrics; those that are plain numbers have no slices.
        features: The values of each sliced feature, (rows,); a statistic over other units has no slices either.
    """
    slices = []
    for name, values in features.items():
        texts = np.array([slice_value(value) for value in values])
        measured = {key: score for key, score in find_statistics(scores).items() if score.rows == len(texts)}
        parts = sorted(set(texts.tolist())) if measured else []
        slices += [_measure_slice(measured, f"{name}={part}", np.flatnonzero(texts == part)) for part in parts]
    return slices


def join_slices(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the slices of both lists, those of the same rows as one with the metrics and intervals of both."""
    joined = {part["slice"]: part for part in first}
    for part in second:
        known = joined.get(part["slice"], part)
        both = {key: {**known[key], **part[key]} for key in ("metrics", "intervals")}
        joined[part["slice"]] = {**known, **both}
    return list(joined.values())


def find_statistics(scores: Scores) -> dict[str, Statistic]:
    """Returns the metrics that can be computed over any rows."""
    return {name: score for name, score in scores.items() if isinstance(score, Statistic)}


def _measure_slice(measured: Mapping[str, Statistic], name: str, rows: np.ndarray) -> dict[str, Any]:
    values = {key: float(score.over(rows)) for key, score in measured.items()}
    intervals = {key: interval(score, rows) for key, score in measured.items()}
    return {
        "slice": name,
        "examples": len(rows),
        "metrics": {key: None if math.isnan(value) else value for key, value in values.items()},
        "intervals": {key: limits for key, limits in intervals.items() if limits},
    }


def compare_models(recipe: Recipe, candidate: Scores, live: Scores) -> dict[str, Comparison]:
    """Returns the paired test of each statistic; empty without a champion (the live model).

    A metric that counts distinct things has none, as it has no interval: its difference alone says what there is.
    """
    in_order = isinstance(recipe.split, Time)
    higher = {metric.name: metric.higher_is_better for metric in recipe.metrics}
    others = find_statistics(live)
    tests = {
        name: compare(own, others[name], higher=higher[name], in_order=in_order)
        for name, own in find_statistics(candidate).items()
        if name in others and own.rows == others[name].rows
    }
    return {
        name: test
        for name, test in tests.items()
        if math.isnan(test.low) or _contain([test.low, test.high], test.worse)
    }


def compare(candidate: Statistic, live: Statistic, *, higher: bool, in_order: bool = False) -> Comparison:
    """Compares two models on the same samples of rows.

    Args:
        candidate: The candidate's metric.
        live: The champion's.
        higher: Whether higher is better.
        in_order: Whether neighbouring rows are correlated.
    """
    sign = 1.0 if higher else -1.0

    def worse(rows: np.ndarray) -> float:
        return sign * (live.over(rows) - candidate.over(rows))

    everywhere = np.arange(candidate.rows)
    difference = worse(everywhere)
    drawn = np.array([worse(sample) for sample in draw_samples(everywhere, in_order=in_order)])
    known = drawn[np.isfinite(drawn)]
    low, high = _limits(drawn) or (math.nan, math.nan)
    # Under the null hypothesis the difference is 0: the samples, shifted there, say how often chance gives as much.
    p = (1 + int((known - difference >= difference - ROUNDING).sum())) / (1 + len(known))
    return Comparison(difference, low, high, p if difference > 0 else 1.0, candidate.rows, "paired bootstrap")
