"""The worst mistakes, each with its input as a picture, a curve or text."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

MOST = 16
COLUMNS = 4
WIDTH = 50  # characters of a line of text in a cell
LINES = 11
SHOWN_VALUES = 4  # numbers of a vector that fit a title


def mistakes(found: Sequence[Mapping[str, Any]]) -> Figure:
    """A grid, the worst first.

    Args:
        found: {"truth", "predicted", "probability" or "error", "inputs": {name: {"image" or "text" or "numbers": …}}}.
    """
    shown = list(found)[:MOST]
    pictures = any("image" in value for one in shown for value in one["inputs"].values())
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    width, height = (2.3, 2.75) if pictures else (3.9, 2.15)
    figure = Figure(figsize=(max(width * columns, 4.0), height * rows + 0.5), layout="constrained")
    judged = any("truth" in one for one in shown)
    figure.suptitle(f"{len(shown)} worst mistakes" if judged else f"{len(shown)} test examples with the lowest value")
    for index, one in enumerate(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(_title(one), fontsize=9)
        axes.set(xticks=[], yticks=[])
        _input(axes, one["inputs"])
    return figure


def _title(one: Mapping[str, Any]) -> str:
    said = _short(one["predicted"])
    if one.get("probability") is not None:
        said += f" ({one['probability']:.0%})"
    return f"predicted {said}\ntruth {_short(one['truth'])}" if "truth" in one else said


def _short(value: Any) -> str:
    if isinstance(value, list):
        numbers = [f"{number:.3g}" for number in value[:SHOWN_VALUES]]
        return ", ".join(numbers) + " …" * (len(value) > SHOWN_VALUES)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else text[:23] + "…"  # noqa: PLR2004  (what fits above a cell)


def _input(axes: Axes, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """The first picture, else the curves, else all as text."""
    images = [value["image"] for value in inputs.values() if "image" in value]
    curves = {name: value["numbers"] for name, value in inputs.items() if "numbers" in value}
    if images:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(images[0]))))
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    elif curves:
        _curves(axes, curves)
    else:
        _text(axes, inputs)


def _curves(axes: Axes, curves: Mapping[str, Sequence[float]]) -> None:
    """The first vector; several of different units would hide each other."""
    name, numbers = next(iter(curves.items()))
    axes.plot(np.array(numbers, float), linewidth=1)
    axes.set_xlabel(name, fontsize=8)


def _text(axes: Axes, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    lines = [f"{name}: {value['text']}" for name, value in inputs.items()]
    if len(lines) == 1:
        lines = [next(iter(inputs.values()))["text"]]
    wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH) or [""]]
    if len(wrapped) > LINES:
        wrapped = [*wrapped[: LINES - 1], "…"]
    text = "\n".join(wrapped).replace("$", r"\$")  # no formulas
    axes.text(0.02, 0.97, text, va="top", ha="left", fontsize=7.5, family="monospace", transform=axes.transAxes)
