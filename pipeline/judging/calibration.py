"""Whether probabilities mean what they say: of the answers given with 80 % four in five should be right.

C. Guo et al., On calibration of modern neural networks, arXiv:1706.04599, section 2; the bins hold equally many
rows, which keeps sparse ones from deciding (M. Nixon et al., Measuring calibration in deep learning, arXiv:1904.01685).
scikit-learn's `calibration_curve` does not say how many rows a bin holds, which the error needs, and its quantiles of
the confidence put all rows of which a network is quite sure into one bin.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Rows of a like confidence.

    Attributes:
        confidence: Mean probability of the answers.
        accuracy: Share of them that is right.
        rows: How many there are.
    """

    confidence: float
    accuracy: float
    rows: int


def reliability(probabilities: np.ndarray, truth: np.ndarray, count: int = BINS) -> list[Bin]:
    """The reliability curve: bins of equally many rows, by rising confidence.

    Args:
        probabilities: (rows, classes).
        truth: Class numbers, (rows,).
        count: Bins at most; never more than rows.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, min(count, max(1, len(order)))) if len(part)]
    return [Bin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def error(bins: list[Bin]) -> float:
    """The expected calibration error: the mean distance of confidence and accuracy; NaN without rows."""
    rows = sum(found.rows for found in bins)
    distance = sum(abs(found.confidence - found.accuracy) * found.rows for found in bins)
    return distance / rows if rows else float("nan")


def described(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Both as JSON: {"error", "bins": [{"confidence", "accuracy", "rows"}]}."""
    bins = reliability(probabilities, truth)
    return {"error": error(bins), "bins": [asdict(found) for found in bins]}
