"""ROC and precision-recall curves, thinned to what a picture needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

POINTS = 100
MOST_CURVES = 5


def described(positives: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The curves of the classes that are told worst, the worst first.

    Args:
        positives: By name of a class, whether each row is of it, (rows,); those without both kinds of rows have none.
        scores: By the same names, (rows,).

    Returns:
        {"name", "area", "roc": [x, y], "average_precision", "precision_recall": [x, y], "share"}; at most 5 curves of
        at most 100 points.
    """
    found = [_curve(name, positive, scores[name]) for name, positive in positives.items() if 0 < positive.mean() < 1]
    return sorted(found, key=lambda curve: curve["area"])[:MOST_CURVES]


def _curve(name: str, positive: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    false, true, _ = roc_curve(positive, score)
    precision, recall, _ = precision_recall_curve(positive, score)
    return {
        "name": name,
        "area": float(roc_auc_score(positive, score)),
        "roc": thinned(false, true),
        "average_precision": float(average_precision_score(positive, score)),
        "precision_recall": thinned(recall[::-1], precision[::-1]),
        "share": float(positive.mean()),
    }


def thinned(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> list[list[float]]:
    """Points of a curve at even distances along it, both ends among them: [x, y]."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    places = np.unique(np.searchsorted(way, np.linspace(0.0, way[-1], points)).clip(0, len(x) - 1))
    places = np.unique([0, *places, len(x) - 1])[:points] if len(x) > points else np.arange(len(x))
    return [np.round(x[places], 5).tolist(), np.round(y[places], 5).tolist()]
