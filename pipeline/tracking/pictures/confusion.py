"""The confusion matrix: what the model takes for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

# Beyond this numbers do not fit the cells, and names do not fit the axes.
MOST_NUMBERS = 20
MOST_NAMES = 50


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[object]) -> Figure:
    """Counts in cells, coloured by their share of the row, so that a rare class is as visible."""
    matrix = np.asarray(counts, float)  # (truth, predicted)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(5.0 + 0.35 * len(matrix), 14.0)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="truth", title=_title(matrix))
    _names(axes, [str(name) for name in classes] or [str(index) for index in range(len(matrix))])
    if len(matrix) <= MOST_NUMBERS:
        _numbers(axes, matrix, shares)
    return figure


def _title(matrix: np.ndarray) -> str:
    total = matrix.sum()
    wrong = total - np.trace(matrix)
    return f"Confusion matrix: {wrong:.0f} of {total:.0f} test examples wrong"


def _names(axes: Axes, names: Sequence[str]) -> None:
    if len(names) <= MOST_NAMES:
        turned = 90 if max(map(len, names)) > 3 else 0  # noqa: PLR2004  (longer names would overlap)
        axes.set_xticks(range(len(names)), names, rotation=turned)
        axes.set_yticks(range(len(names)), names)


def _numbers(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004  (readable on the cell)
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=9)
