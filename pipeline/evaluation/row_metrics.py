"""Metrics row by row: values (rows,) whose mean is the metric, and areas under the ROC curve with their variance.

They allow to compare two models on the same rows, and to compute a confidence interval of a metric.

Areas: E. DeLong, D. DeLong, D. Clarke-Pearson, Comparing the areas under two or more correlated receiver operating
characteristic curves, Biometrics 44(3), 1988; computed by ranks as in X. Sun, W. Xu, Fast implementation of DeLong's
algorithm, IEEE Signal Processing Letters 21(11), 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.recipe import Metric

    Contribution = Callable[[np.ndarray, np.ndarray, Metric], np.ndarray]


SMALLEST = 1e-7  # Keras keeps probabilities this far from 0 and 1
TFMA_NAMES = {  # of a recipe's own metrics that are equal to one of TFMA
    "accuracy": "SparseCategoricalAccuracy",
    "loss": "SparseCategoricalCrossentropy",
    "balanced_accuracy": "BalancedAccuracy",
    "mae": "MeanAbsoluteError",
    "mse": "MeanSquaredError",
    "r2": "R2",
}


def row_values(metric: Metric, kind: str, truth: np.ndarray, answers: np.ndarray, value: float) -> np.ndarray | None:
    """Returns values (rows,) whose mean is the metric; None if the metric is not a known mean over rows.

    Args:
        metric: The metric.
        kind: Kind of the predictions, see `Predictions`.
        truth: See `Predictions`.
        answers: Predictions of one model.
        value: The measured metric. A recipe may use a name for something else: values with another mean are dropped.
    """
    compute = METRICS_BY_KIND.get(kind, {}).get(metric.tfma or TFMA_NAMES.get(metric.name, metric.name))
    if metric.positive or kind == "level":
        compute = None if metric.tfma or metric.positive else _identity
    if compute is None or not len(truth):
        return None
    values = compute(truth, answers.astype(np.float64), metric)
    return values if abs(values.mean() - value) <= 1e-3 * max(1.0, abs(value)) else None


def _accuracy(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:  # noqa: ARG001
    return (answers.argmax(axis=1) == truth).astype(np.float64)


def _top_k(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:
    own = np.take_along_axis(answers, truth[:, None], axis=1)
    return ((answers > own).sum(axis=1) < metric.config.get("k", 5)).astype(np.float64)


def _crossentropy(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:  # noqa: ARG001
    own = np.take_along_axis(answers, truth[:, None], axis=1)[:, 0] / answers.sum(axis=1)
    return -np.log(np.clip(own, SMALLEST, 1 - SMALLEST))


def _balanced_accuracy(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:
    """Weights each class equally: a row of a class of n rows among k classes counts rows / (k n)."""
    counts = np.bincount(truth)
    return _accuracy(truth, answers, metric) * len(truth) / (np.count_nonzero(counts) * counts[truth])


def _absolute_error(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:  # noqa: ARG001
    return np.abs(answers - truth).reshape(len(truth), -1).mean(axis=1)


def _squared_error(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:  # noqa: ARG001
    return np.square(answers - truth).reshape(len(truth), -1).mean(axis=1)


def _explained_variance(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:
    """Computes explained variance as one minus the mean square error in units of the truth's variance."""
    return 1 - _squared_error(truth, answers, metric) / max(float(truth.var()), SMALLEST)


def _identity(truth: np.ndarray, answers: np.ndarray, metric: Metric) -> np.ndarray:  # noqa: ARG001
    return answers


METRICS_BY_KIND: dict[str, dict[str, Contribution]] = {
    "classes": {
        "SparseCategoricalAccuracy": _accuracy,
        "SparseCategoricalCrossentropy": _crossentropy,
        "SparseTopKCategoricalAccuracy": _top_k,
        "BalancedAccuracy": _balanced_accuracy,
    },
    "numbers": {"MeanAbsoluteError": _absolute_error, "MeanSquaredError": _squared_error, "R2": _explained_variance},
}


def binary_scores(
    metric: Metric, kind: str, truth: np.ndarray, answers: np.ndarray, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns whether each row is positive, and its score, both (rows,); None if the metric is no area.

    Args:
        metric: The metric.
        kind: Kind of the predictions, see `Predictions`.
        truth: See `Predictions`.
        answers: Predictions of one model.
        classes: The declared classes.
    """
    if metric.tfma != "AUC" and (metric.tfma or metric.name != "auc"):
        return None
    if metric.config.get("curve", "ROC") != "ROC":
        return None
    if kind == "score":
        return truth > 0, answers
    if kind != "classes" or not metric.positive:
        return None
    place = classes.index(metric.positive)
    return truth == place, answers[:, place]


def roc_areas(positive: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns areas (models,) and their covariance (models, models).

    Args:
        positive: Whether each row is positive, (rows,); without both kinds of rows the area is NaN.
        answers: Scores, (models, rows).
    """
    from scipy.stats import rankdata

    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        return np.full(len(answers), np.nan), np.full((len(answers), len(answers)), np.nan)
    above, below = answers[:, positive], answers[:, ~positive]
    ranks = rankdata(np.concatenate([above, below], axis=1), axis=1)
    # For each positive the share of negatives below it, for each negative the share of positives above it.
    first = (ranks[:, :count] - rankdata(above, axis=1)) / rest
    second = 1 - (ranks[:, count:] - rankdata(below, axis=1)) / count
    return first.mean(axis=1), _covariance(first) + _covariance(second)


def _covariance(parts: np.ndarray) -> np.ndarray:
    """Returns the covariance of the means of correlated parts (models, rows); zero for a single row."""
    rows = parts.shape[1]
    return np.cov(parts).reshape(len(parts), len(parts)) / rows if rows > 1 else np.zeros((len(parts), len(parts)))
