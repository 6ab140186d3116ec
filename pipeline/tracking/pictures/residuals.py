"""Residuals: predicted over true numbers, and how the errors are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

POINT, IDEAL = "#1f77b4", "#999999"


def residuals(found: Mapping[str, Any]) -> Figure:
    """Two panels: a sample of points beside the diagonal, and the histogram of all residuals.

    Args:
        found: {"bias", "deviation", "largest", "histogram": {"edges", "counts"}, "truth": [...], "predicted": [...]}.
    """
    figure = Figure(figsize=(11.0, 4.8), layout="constrained")
    points, spread = figure.subplots(1, 2)
    truth, predicted = found["truth"], found["predicted"]
    ends = [min(*truth, *predicted), max(*truth, *predicted)]
    points.plot(ends, ends, "--", color=IDEAL, linewidth=1, label="ideal")
    points.scatter(truth, predicted, s=12, alpha=0.6, color=POINT, edgecolors="none")
    points.set(xlabel="truth", ylabel="predicted", title=f"{len(truth)} test examples")
    points.legend(fontsize=9, loc="upper left")
    edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]
    spread.stairs(counts, edges, fill=True, color=POINT, alpha=0.7)
    spread.axvline(0, color=IDEAL, linestyle="--", linewidth=1)
    spread.axvline(found["bias"], color="#d95f02", linewidth=1.2, label=f"mean {found['bias']:+.4g}")
    spread.set(xlabel="residual: predicted minus truth; the ends hold what lies beyond", ylabel="examples")
    spread.set_title(f"Residuals: deviation {found['deviation']:.4g}, largest error {found['largest']:.4g}")
    spread.legend(fontsize=9)
    for axes in (points, spread):
        axes.grid(alpha=0.3)
    return figure
