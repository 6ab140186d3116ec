"""The reliability curve: whether answers given with 80 % are right four times in five."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

LINE, IDEAL, SHADE = "#1f77b4", "#999999", "#1f77b455"


def calibration(found: Mapping[str, Any]) -> Figure:
    """Accuracy over confidence, with Wilson's intervals, beside the diagonal.

    Args:
        found: {"error", "bins": [{"confidence", "accuracy", "rows"}]}.
    """
    from pipeline.judging.intervals import share

    bins = found["bins"]
    confidence = [one["confidence"] for one in bins]
    accuracy = [one["accuracy"] for one in bins]
    ends = [share(one["accuracy"] * one["rows"], one["rows"]) for one in bins]
    below = [max(0.0, value - low) for value, (low, _) in zip(accuracy, ends, strict=True)]
    above = [max(0.0, high - value) for value, (_, high) in zip(accuracy, ends, strict=True)]
    figure = Figure(figsize=(6.2, 6.2))
    axes = figure.add_axes((0.12, 0.09, 0.85, 0.82))
    axes.plot([0, 1], [0, 1], "--", color=IDEAL, linewidth=1, label="ideal")
    axes.errorbar(confidence, accuracy, (below, above), fmt="o-", color=LINE, ecolor=SHADE, markersize=4)
    _frame(axes, confidence, accuracy)
    rows = sum(one["rows"] for one in bins)
    axes.set_title(
        f"Calibration: error {found['error']:.4f}\n{len(bins)} bins of {rows / len(bins):.0f} examples, 95 %"
    )
    return figure


def _frame(axes: Axes, confidence: list[float], accuracy: list[float]) -> None:
    """Near the points: a good classifier's lie in one corner."""
    low = max(-0.02, min(*confidence, *accuracy) - 0.1)
    axes.set(xlim=(low, 1.02), ylim=(low, 1.02), aspect="equal")
    axes.set(xlabel="confidence, mean probability of the answer", ylabel="accuracy, share of right answers")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="upper left")
