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
INCHES_PER_CHARACTER = 0.085  # of a name at an axis


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[object]) -> Figure:
    """Counts in cells, coloured by their share of the row, so that a rare class is as visible."""
    matrix = np.asarray(counts, float)  # (truth, predicted)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [str(name) for name in classes] or [str(index) for index in range(len(matrix))]
    figure = Figure()
    axes, scale = _placed(figure, min(4.0 + 0.35 * len(matrix), 13.0), max(map(len, names)))
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), cax=scale, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="truth", title=_title(matrix))
    _names(axes, names)
    if len(matrix) <= MOST_NUMBERS:
        _numbers(axes, matrix, shares)
    return figure


def _placed(figure: Figure, side: float, longest: int) -> tuple[Axes, Axes]:
    """Axes for the matrix and for the colours; Matplotlib's own search for room takes as long as all the rest.

    Args:
        figure: Takes its size from them.
        side: Of the matrix, in inches.
        longest: Characters of the longest name.
    """
    room = 0.6 + INCHES_PER_CHARACTER * longest  # left and below
    width, height = room + side + 1.3, room + side + 0.5
    figure.set_size_inches(width, height)
    axes = figure.add_axes((room / width, room / height, side / width, side / height))
    return axes, figure.add_axes(((room + side + 0.3) / width, room / height, 0.25 / width, side / height))


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
