"""The area under the ROC curve with its variance, and two of them on the same rows.

E. DeLong, D. DeLong, D. Clarke-Pearson, Comparing the areas under two or more correlated receiver operating
characteristic curves, Biometrics 44(3), 1988; computed by ranks as in X. Sun, W. Xu, Fast implementation of DeLong's
algorithm, IEEE Signal Processing Letters 21(11), 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.recipe import Metric


def scores(
    metric: Metric, kind: str, truth: np.ndarray, answers: np.ndarray, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """What an area is of: whether each row is positive, and its score, both (rows,); None if the metric is no area.

    Args:
        metric: The metric.
        kind: Kind of the answers, see `Predictions`.
        truth: See `Predictions`.
        answers: Of one model.
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


def areas(positive: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas (models,) and their covariance (models, models).

    Args:
        positive: Whether each row is positive, (rows,); at least one is and one is not, else the area is NaN.
        found: Scores, (models, rows).
    """
    from scipy.stats import rankdata

    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        return np.full(len(found), np.nan), np.full((len(found), len(found)), np.nan)
    above, below = found[:, positive], found[:, ~positive]
    ranks = rankdata(np.concatenate([above, below], axis=1), axis=1)
    # Of each positive the share of negatives below it, of each negative the share of positives above it.
    first = (ranks[:, :count] - rankdata(above, axis=1)) / rest
    second = 1 - (ranks[:, count:] - rankdata(below, axis=1)) / count
    return first.mean(axis=1), _covariance(first) + _covariance(second)


def _covariance(parts: np.ndarray) -> np.ndarray:
    """Of means of correlated parts (models, rows); of a single row nothing is known, and none is told."""
    rows = parts.shape[1]
    return np.cov(parts).reshape(len(parts), len(parts)) / rows if rows > 1 else np.zeros((len(parts), len(parts)))
