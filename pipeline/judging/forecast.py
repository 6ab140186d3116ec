"""Forecasts of several steps: the error by steps ahead, and windows from good to bad."""

from __future__ import annotations

from typing import Any

import numpy as np

PLACES = (0.1, 0.5, 0.9, 1.0)  # windows are shown that have this quantile of the error


def described(truth: np.ndarray, answers: np.ndarray, live: np.ndarray | None) -> dict[str, Any]:
    """Mean absolute error by steps ahead, and some windows.

    Args:
        truth: (rows, steps).
        answers: The candidate's, (rows, steps).
        live: The live model's; None without one.

    Returns:
        {"error": [by step], "live_error": [by step] or None, "windows": [{"row", "error", "quantile", "truth",
        "predicted"}]}.
    """
    distance = np.abs(answers - truth)
    by_row = distance.mean(axis=1)
    order = np.argsort(by_row, kind="stable")
    rows = [int(order[min(len(order) - 1, int(place * len(order)))]) for place in PLACES]
    windows = [
        {
            "row": row,
            "error": float(by_row[row]),
            "quantile": place,
            "truth": truth[row].round(4).tolist(),
            "predicted": answers[row].round(4).tolist(),
        }
        for place, row in zip(PLACES, rows, strict=True)
    ]
    return {
        "error": distance.mean(axis=0).round(6).tolist(),
        "live_error": None if live is None else np.abs(live - truth).mean(axis=0).round(6).tolist(),
        "windows": windows,
    }
