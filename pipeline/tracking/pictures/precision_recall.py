"""Precision-recall curves: how many of those that are reported are right, at which share found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def precision_recall(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """One curve per class; a dotted line of its colour is what guessing gives, the share of the class.

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
