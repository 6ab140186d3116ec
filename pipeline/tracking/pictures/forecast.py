"""Forecasts: the error by steps ahead, and windows from good to bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

PAST, TRUTH, FORECAST, LIVE = "#777777", "#1f77b4", "#d95f02", "#7570b3"


def forecast(found: Mapping[str, Any]) -> Figure:
    """One wide panel for the error, four for windows.

    Args:
        found: {"error": [by step], "live_error": [by step] or None, "windows": [{"error", "quantile", "truth",
            "predicted", "past"?}]}.
    """
    rows = 1 + -(-len(found["windows"]) // 2)
    figure = Figure(figsize=(12.0, 3.2 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2)
    _errors(figure.add_subplot(grid[0, :]), found)
    for index, window in enumerate(found["windows"]):
        _window(figure.add_subplot(grid[1 + index // 2, index % 2]), window)
    figure.suptitle("Forecasts of the test split")
    return figure


def _errors(axes: Axes, found: Mapping[str, Any]) -> None:
    steps = range(1, len(found["error"]) + 1)
    axes.plot(steps, found["error"], "o-", markersize=3, color=FORECAST, label="candidate")
    if found.get("live_error"):
        axes.plot(steps, found["live_error"], "o-", markersize=3, color=LIVE, label="live model")
    axes.set(xlabel="steps ahead", ylabel="mean absolute error", title="Error by steps ahead")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _window(axes: Axes, window: Mapping[str, Any]) -> None:
    past = [float("nan") if value is None else value for value in window.get("past", [])]
    axes.plot(range(1 - len(past), 1), past, color=PAST, linewidth=1.2, label="past")
    steps = range(1, len(window["truth"]) + 1)
    axes.plot(steps, window["truth"], color=TRUTH, linewidth=1.6, label="truth")
    axes.plot(steps, window["predicted"], color=FORECAST, linewidth=1.6, label="forecast")
    axes.axvline(0.5, color=PAST, linestyle=":", linewidth=1)
    rank = "the worst" if window["quantile"] >= 1 else f"better than {1 - window['quantile']:.0%} of the windows"
    axes.set_title(f"error {window['error']:.4g}: {rank}", fontsize=10)
    axes.set_xlabel("steps ahead")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left")
