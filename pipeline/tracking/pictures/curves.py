"""Learning curves: every metric over the epochs, on training and validation data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

COLUMNS = 2
TRAIN, VALIDATION, BEST = "#1f77b4", "#d95f02", "#555555"


def curves(history: Mapping[str, Sequence[float]], diagnosis: str = "") -> Figure:
    """One panel per metric; the epoch with the least validation loss is marked in each."""
    names = _names(history)
    rows = max(1, math.ceil(len(names) / COLUMNS))
    columns = max(1, min(COLUMNS, len(names)))
    figure = Figure(figsize=(5.5 * columns, 3.6 * rows + 0.6), layout="constrained")
    best = _best(history)
    for index, name in enumerate(names):
        _panel(figure.add_subplot(rows, columns, index + 1), name, history, best)
    figure.suptitle("\n".join(filter(None, ("Learning curves", diagnosis))), wrap=True)
    return figure


def _names(history: Mapping[str, Sequence[float]]) -> list[str]:
    """The metrics, loss first and learning rate last."""
    names = {name.removeprefix("val_") for name in history}
    order = {"loss": 0, "learning_rate": 2}
    return sorted(names, key=lambda name: (order.get(name, 1), name))


def _best(history: Mapping[str, Sequence[float]]) -> int | None:
    """The epoch, from 1, with the least validation loss."""
    losses = history.get("val_loss", [])
    known = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    return min(known, key=lambda index: losses[index]) + 1 if known else None


def _panel(axes: Axes, name: str, history: Mapping[str, Sequence[float]], best: int | None) -> None:
    first = "training" if f"val_{name}" in history else name.replace("_", " ")
    for label, key, colour in ((first, name, TRAIN), ("validation", f"val_{name}", VALIDATION)):
        values = history.get(key, [])
        if len(values):
            # A dot per epoch, because a run of one epoch has no line.
            axes.plot(range(1, len(values) + 1), values, "o-", label=label, color=colour, markersize=3)
    if best is not None:
        axes.axvline(best, color=BEST, linestyle=":", label=f"best epoch: {best}")
    axes.set(title=name.replace("_", " "), xlabel="epoch", ylabel=name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
