"""Learning curves, ROC and precision-recall curves, and the reliability curve of a classifier."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes


PANEL_COLUMNS = 2
TRAIN_COLOUR, VALIDATION_COLOUR, BEST_COLOUR = "#1f77b4", "#d95f02", "#555555"
CHANCE_COLOUR = "#999999"
LINE_COLOUR, IDEAL_COLOUR, INTERVAL_COLOUR = "#1f77b4", "#999999", "#1f77b455"


def learning_curves(history: Mapping[str, Sequence[float]], diagnosis: str = "") -> Figure:
    """Draws one panel per metric; the epoch with the least validation loss is marked in each.

    The figure is as wide as the text on MLflow's page of a run, which does not scale pictures.
    """
    names = _metric_names(history)
    rows = max(1, math.ceil(len(names) / PANEL_COLUMNS))
    columns = max(1, min(PANEL_COLUMNS, len(names)))
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.6), layout="constrained")
    best = _best_epoch(history)
    for index, name in enumerate(names):
        _draw_panel(figure.add_subplot(rows, columns, index + 1), name, history, best)
    figure.suptitle("\n".join(filter(None, ("Learning curves", diagnosis))), wrap=True)
    return figure


def _metric_names(history: Mapping[str, Sequence[float]]) -> list[str]:
    """Returns the metrics, loss first and learning rate last."""
    names = {name.removeprefix("val_") for name in history}
    order = {"loss": 0, "learning_rate": 2}
    return sorted(names, key=lambda name: (order.get(name, 1), name))


def _best_epoch(history: Mapping[str, Sequence[float]]) -> int | None:
    """Returns the epoch, from 1, with the least validation loss."""
    losses = history.get("val_loss", [])
    known = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    return min(known, key=lambda index: losses[index]) + 1 if known else None


def _draw_panel(axes: Axes, name: str, history: Mapping[str, Sequence[float]], best: int | None) -> None:
    first = "training" if f"val_{name}" in history else name.replace("_", " ")
    for label, key, colour in ((first, name, TRAIN_COLOUR), ("validation", f"val_{name}", VALIDATION_COLOUR)):
        values = history.get(key, [])
        if len(values):
            # A dot per epoch, because a run of one epoch has no line.
            axes.plot(range(1, len(values) + 1), values, "o-", label=label, color=colour, markersize=3)
    if best is not None:
        axes.axvline(best, color=BEST_COLOUR, linestyle=":", label=f"best epoch: {best}")
    axes.set(title=name.replace("_", " "), xlabel="epoch", ylabel=name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def roc(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws one ROC curve per class, the worst first, and the diagonal of random guessing.

    Args:
        curves: {"name", "area", "roc": [x, y]} each.
    """
    figure = Figure(figsize=(6.2, 6.2))
    axes = figure.add_axes((0.12, 0.09, 0.85, 0.82))
    axes.plot([0, 1], [0, 1], "--", color=CHANCE_COLOUR, linewidth=1, label="guessing: 0.5")
    for curve in curves:
        axes.plot(*curve["roc"], label=f"{curve['name']}: {curve['area']:.4f}", linewidth=1.6)
    axes.set(xlabel="false alarms, share of the others", ylabel="found, share of the class", aspect="equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="ROC curves, by area" if len(curves) > 1 else "ROC curve")
    axes.grid(alpha=0.3)
    axes.legend(title="area under the curve", fontsize=9, loc="lower right")
    return figure


def precision_recall(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws one precision-recall curve per class; its dotted line is random guessing, the share of the class.

    Args:
        curves: {"name", "average_precision", "precision_recall": [x, y], "share"} each.
    """
    figure = Figure(figsize=(6.2, 6.2))
    axes = figure.add_axes((0.12, 0.09, 0.85, 0.82))
    for curve in curves:
        label = f"{curve['name']}: {curve['average_precision']:.4f}"
        (line,) = axes.plot(*curve["precision_recall"], label=label, linewidth=1.6)
        axes.axhline(curve["share"], color=line.get_color(), linestyle=":", linewidth=1)
    axes.set(xlabel="recall, share of the class that is found", ylabel="precision, share of reports that are right")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title="Precision and recall")
    axes.grid(alpha=0.3)
    axes.legend(title="average precision", fontsize=9, loc="lower left")
    return figure


def calibration(reliability: Mapping[str, Any]) -> Figure:
    """Draws accuracy over confidence with Wilson's intervals, and the diagonal of perfect calibration.

    Args:
        reliability: {"error", "bins": [{"confidence", "accuracy", "rows"}]}.
    """
    from pipeline.evaluation.statistics import share_interval

    bins = reliability["bins"]
    confidence = [entry["confidence"] for entry in bins]
    accuracy = [entry["accuracy"] for entry in bins]
    ends = [share_interval(entry["accuracy"] * entry["rows"], entry["rows"]) for entry in bins]
    below = [max(0.0, value - low) for value, (low, _) in zip(accuracy, ends, strict=True)]
    above = [max(0.0, high - value) for value, (_, high) in zip(accuracy, ends, strict=True)]
    figure = Figure(figsize=(6.2, 6.2))
    axes = figure.add_axes((0.12, 0.09, 0.85, 0.82))
    axes.plot([0, 1], [0, 1], "--", color=IDEAL_COLOUR, linewidth=1, label="ideal")
    axes.errorbar(
        confidence, accuracy, (below, above), fmt="o-", color=LINE_COLOUR, ecolor=INTERVAL_COLOUR, markersize=4
    )
    _frame_axes(axes, confidence, accuracy)
    rows = sum(entry["rows"] for entry in bins)
    axes.set_title(
        f"Calibration: error {reliability['error']:.4f}\n{len(bins)} bins of {rows / len(bins):.0f} examples, 95 %"
    )
    return figure


def _frame_axes(axes: Axes, confidence: list[float], accuracy: list[float]) -> None:
    """Zooms in on the points: those of a good classifier are in one corner."""
    low = max(-0.02, min(*confidence, *accuracy) - 0.1)
    axes.set(xlim=(low, 1.02), ylim=(low, 1.02), aspect="equal")
    axes.set(xlabel="confidence, mean probability of the answer", ylabel="accuracy, share of right answers")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="upper left")
