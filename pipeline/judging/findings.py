"""What the pictures of an evaluation are drawn from, small enough for a JSON file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.judging import calibration, curves, forecast, mistakes, residuals

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.judging.predictions import Predictions
    from pipeline.recipe import Recipe

PAST = 3  # times as much past as future is shown before a forecast


def described(recipe: Recipe, found: Predictions, folder: Path) -> dict[str, Any]:
    """What the kind of the answers allows to draw; answers or truths that are no numbers leave the mistakes only.

    Args:
        recipe: The recipe.
        found: The answers.
        folder: TFRecords of the test split.

    Returns:
        Some of {"calibration", "curves", "residuals", "forecast", "mistakes"}.
    """
    told: dict[str, Any] = {"mistakes": mistakes.described(found, recipe, folder)}
    if not (np.isfinite(found.candidate).all() and np.isfinite(found.truth).all()):
        return told
    if found.kind == "classes":
        told["calibration"] = calibration.described(found.candidate, found.truth)
    if found.kind in ("classes", "score"):
        told["curves"] = _curves(recipe, found)
    if found.kind == "numbers" and found.truth.ndim == 1:
        told["residuals"] = residuals.described(found.truth, found.candidate)
    if found.kind == "numbers" and found.truth.ndim > 1:
        told["forecast"] = _with_past(forecast.described(found.truth, found.candidate, found.live), recipe, folder)
    return {name: value for name, value in told.items() if value}


def _curves(recipe: Recipe, found: Predictions) -> list[dict[str, Any]]:
    if found.kind == "score":
        return curves.described({recipe.data.label: found.truth > 0}, {recipe.data.label: found.candidate})
    classes = list(recipe.data.classes)
    named = [metric.positive for metric in recipe.metrics if metric.positive]
    shown = dict.fromkeys(named or (classes[1:] if len(classes) == 2 else classes))  # noqa: PLR2004  (two are one)
    places = {name: classes.index(name) for name in shown}
    return curves.described(
        {name: found.truth == place for name, place in places.items()},
        {name: found.candidate[:, place] for name, place in places.items()},
    )


def _with_past(told: dict[str, Any], recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Adds to each window what was known before it, where an input is the past of the label's own column."""
    data = recipe.data
    columns = getattr(data, "numbers", {})
    past = next((name for name, column in columns.items() if column == getattr(data, "target", "")), None)
    if past is None:
        return told
    rows = mistakes.read(folder, [window["row"] for window in told["windows"]], [past])
    for window in told["windows"]:
        numbers = np.ravel(np.array(rows[window["row"]][past], float))
        window["past"] = [None if np.isnan(n) else n for n in numbers[-PAST * len(window["truth"]) :].tolist()]
    return told
