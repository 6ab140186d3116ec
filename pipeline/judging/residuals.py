"""How far predicted numbers are from the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np

POINTS = 200
BINS = 40
NARROWEST = 1e-6
WITHIN = (0.005, 0.995)  # quantiles between which the histogram looks: one outlier would flatten it


def described(truth: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """Residuals (answer minus truth) in numbers, as a histogram, and a sample of points.

    Args:
        truth: Numbers, (rows,).
        answers: Numbers, (rows,).

    Returns:
        {"bias", "deviation", "largest", "histogram": {"edges", "counts"}, "truth": [...], "predicted": [...]}.
    """
    truth, answers = truth.astype(np.float64), answers.astype(np.float64)
    residuals = answers - truth
    low, high = np.quantile(residuals, WITHIN)
    # Where all residuals are alike, bins have a width nevertheless.
    half = max((high - low) / 2, NARROWEST * max(1.0, abs(low), abs(high)))
    ends = ((low + high) / 2 - half, (low + high) / 2 + half)
    counts, edges = np.histogram(residuals.clip(*ends), bins=BINS, range=ends)
    rows = np.random.default_rng(1).permutation(len(truth))[:POINTS]
    return {
        "bias": float(residuals.mean()),
        "deviation": float(residuals.std()),
        "largest": float(np.abs(residuals).max()),
        "histogram": {"edges": edges.round(6).tolist(), "counts": counts.tolist()},
        "truth": truth[rows].round(6).tolist(),
        "predicted": answers[rows].round(6).tolist(),
    }
