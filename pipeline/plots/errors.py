"""Figures of a model's errors: the confusion matrix, residuals, and the worst mistakes with their inputs."""

from __future__ import annotations

import base64
import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.features.image import open_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes


# Beyond this numbers do not fit the cells, and names do not fit the axes.
MAX_NUMBERED_CLASSES = 20
MAX_NAMED_CLASSES = 50
INCHES_PER_CHARACTER = 0.085  # of a name at an axis
POINT_COLOUR, IDEAL_COLOUR = "#1f77b4", "#999999"
MAX_MISTAKES = 16
GRID_COLUMNS = 4
TEXT_WIDTH = 50  # characters of a line of text in a cell
TEXT_LINES = 11
MAX_TITLE_VALUES = 4  # numbers of a vector that fit a title


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[object]) -> Figure:
    """Draws a confusion matrix: counts, coloured by their share of the row so that rare classes are visible."""
    matrix = np.asarray(counts, float)  # (truth, predicted)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [str(name) for name in classes] or [str(index) for index in range(len(matrix))]
    figure = Figure()
    axes, scale = _place_axes(figure, min(4.0 + 0.35 * len(matrix), 13.0), max(map(len, names)))
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), cax=scale, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="truth", title=_confusion_title(matrix))
    _draw_names(axes, names)
    if len(matrix) <= MAX_NUMBERED_CLASSES:
        _draw_counts(axes, matrix, shares)
    return figure


def _place_axes(figure: Figure, side: float, longest: int) -> tuple[Axes, Axes]:
    """Returns axes for the matrix and for the colour scale. Matplotlib's own layout takes as long as all the rest.

    Args:
        figure: The figure, whose size is set here.
        side: Side of the matrix in inches.
        longest: Characters of the longest name.
    """
    room = 0.6 + INCHES_PER_CHARACTER * longest  # left and below
    width, height = room + side + 1.3, room + side + 0.5
    figure.set_size_inches(width, height)
    axes = figure.add_axes((room / width, room / height, side / width, side / height))
    return axes, figure.add_axes(((room + side + 0.3) / width, room / height, 0.25 / width, side / height))


def _confusion_title(matrix: np.ndarray) -> str:
    total = matrix.sum()
    wrong = total - np.trace(matrix)
    return f"Confusion matrix: {wrong:.0f} of {total:.0f} test examples wrong"


def _draw_names(axes: Axes, names: Sequence[str]) -> None:
    if len(names) <= MAX_NAMED_CLASSES:
        turned = 90 if max(map(len, names)) > 3 else 0  # noqa: PLR2004  (longer names would overlap)
        axes.set_xticks(range(len(names)), names, rotation=turned)
        axes.set_yticks(range(len(names)), names)


def _draw_counts(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004  (readable on the cell)
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=9)


def residuals(summary: Mapping[str, Any]) -> Figure:
    """Draws a sample of points with the diagonal, and the histogram of all residuals.

    Args:
        summary: {"bias", "deviation", "largest", "histogram": {"edges", "counts"}, "truth": [...], "predicted": [...]}.
    """
    figure = Figure(figsize=(11.0, 4.8), layout="constrained")
    points, spread = figure.subplots(1, 2)
    truth, predicted = summary["truth"], summary["predicted"]
    ends = [min(*truth, *predicted), max(*truth, *predicted)]
    points.plot(ends, ends, "--", color=IDEAL_COLOUR, linewidth=1, label="ideal")
    points.scatter(truth, predicted, s=12, alpha=0.6, color=POINT_COLOUR, edgecolors="none")
    points.set(xlabel="truth", ylabel="predicted", title=f"{len(truth)} test examples")
    points.legend(fontsize=9, loc="upper left")
    edges, counts = summary["histogram"]["edges"], summary["histogram"]["counts"]
    spread.stairs(counts, edges, fill=True, color=POINT_COLOUR, alpha=0.7)
    spread.axvline(0, color=IDEAL_COLOUR, linestyle="--", linewidth=1)
    spread.axvline(summary["bias"], color="#d95f02", linewidth=1.2, label=f"mean {summary['bias']:+.4g}")
    spread.set(xlabel="residual: predicted minus truth; the ends hold what lies beyond", ylabel="examples")
    spread.set_title(f"Residuals: deviation {summary['deviation']:.4g}, largest error {summary['largest']:.4g}")
    spread.legend(fontsize=9)
    for axes in (points, spread):
        axes.grid(alpha=0.3)
    return figure


def mistakes(examples: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the worst mistakes with their inputs in a grid, the worst first.

    Args:
        examples: {"truth", "predicted", "probability" or "error", "inputs": {name: {"image", "text" or "numbers": …}}}.
    """
    visible = list(examples)[:MAX_MISTAKES]
    pictures = any("image" in value for example in visible for value in example["inputs"].values())
    columns = min(GRID_COLUMNS, len(visible))
    rows = math.ceil(len(visible) / columns)
    width, height = (2.3, 2.75) if pictures else (3.9, 2.15)
    figure = Figure(figsize=(max(width * columns, 4.0), height * rows + 0.5), layout="constrained")
    has_truth = any("truth" in example for example in visible)
    figure.suptitle(
        f"{len(visible)} worst mistakes" if has_truth else f"{len(visible)} test examples with the lowest value"
    )
    for index, example in enumerate(visible):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(_mistake_title(example), fontsize=9)
        axes.set(xticks=[], yticks=[])
        _draw_input(axes, example["inputs"])
    return figure


def _mistake_title(example: Mapping[str, Any]) -> str:
    prediction = _short_text(example["predicted"])
    if example.get("probability") is not None:
        prediction += f" ({example['probability']:.0%})"
    return f"predicted {prediction}\ntruth {_short_text(example['truth'])}" if "truth" in example else prediction


def _short_text(value: Any) -> str:
    if isinstance(value, list):
        numbers = [f"{number:.3g}" for number in value[:MAX_TITLE_VALUES]]
        return ", ".join(numbers) + " …" * (len(value) > MAX_TITLE_VALUES)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else text[:23] + "…"  # noqa: PLR2004  (what fits above a cell)


def _draw_input(axes: Axes, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws the first picture, else the curves, else all inputs as text."""
    images = [value["image"] for value in inputs.values() if "image" in value]
    curves = {name: value["numbers"] for name, value in inputs.items() if "numbers" in value}
    if images:
        pixels = np.asarray(open_image(base64.b64decode(images[0])))
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    elif curves:
        _draw_curve(axes, curves)
    else:
        _draw_text(axes, inputs)


def _draw_curve(axes: Axes, curves: Mapping[str, Sequence[float]]) -> None:
    """Draws the first vector; several with different units would hide each other."""
    name, numbers = next(iter(curves.items()))
    axes.plot(np.array(numbers, float), linewidth=1)
    axes.set_xlabel(name, fontsize=8)


def _draw_text(axes: Axes, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    lines = [f"{name}: {value['text']}" for name, value in inputs.items()]
    if len(lines) == 1:
        lines = [next(iter(inputs.values()))["text"]]
    wrapped = [part for line in lines for part in textwrap.wrap(line, TEXT_WIDTH) or [""]]
    if len(wrapped) > TEXT_LINES:
        wrapped = [*wrapped[: TEXT_LINES - 1], "…"]
    text = "\n".join(wrapped).replace("$", r"\$")  # no formulas
    axes.text(0.02, 0.97, text, va="top", ha="left", fontsize=7.5, family="monospace", transform=axes.transAxes)
