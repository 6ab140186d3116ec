"""ROC curves: what share of the positives is found at which share of false alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHANCE = "#999999"


def roc(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """One curve per class, the worst first; beside the diagonal of a guess.

    Args:
        curves: {"name", "area", "roc": [x, y]} each.
    """
    figure = Figure(figsize=(6.2, 6.2))
    axes = figure.add_axes((0.12, 0.09, 0.85, 0.82))
    axes.plot([0, 1], [0, 1], "--", color=CHANCE, linewidth=1, label="guessing: 0.5")
    for curve in curves:
        axes.plot(*curve["roc"], label=f"{curve['name']}: {curve['area']:.4f}", linewidth=1.6)
    axes.set(xlabel="false alarms, share of the others", ylabel="found, share of the class", aspect="equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="ROC curves, by area" if len(curves) > 1 else "ROC curve")
    axes.grid(alpha=0.3)
    axes.legend(title="area under the curve", fontsize=9, loc="lower right")
    return figure
