"""Test examples above, or behind, what the model made of them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = 4
ORIGINAL, DRAWN = "#999999", "#d95f02"


def reconstructions(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    """Images in two rows, vectors as two curves each.

    Args:
        pairs: {"image", "drawn"} as base64, or {"numbers", "drawn"} as lists.
    """
    return _images(pairs) if "image" in pairs[0] else _curves(pairs)


def _images(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(1.4 * len(pairs) + 0.8, 3.4), layout="constrained")
    axes = np.atleast_2d(figure.subplots(2, len(pairs), squeeze=False))
    for column, pair in enumerate(pairs):
        for row, key in enumerate(("image", "drawn")):
            axes[row, column].set(xticks=[], yticks=[])
            axes[row, column].imshow(_decode(pair[key]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes[0, 0].set_ylabel("test example")
    axes[1, 0].set_ylabel("reconstruction")
    figure.suptitle("Reconstructions")
    return figure


def _decode(encoded: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def _curves(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(3.6 * min(COLUMNS, len(pairs)), 2.3 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, min(COLUMNS, len(pairs)), squeeze=False)
    for axes, pair in zip(grid.flat, pairs, strict=False):
        axes.plot(pair["numbers"], color=ORIGINAL, linewidth=2, label="test example, preprocessed")
        axes.plot(pair["drawn"], color=DRAWN, linewidth=1, label="reconstruction")
        error = float(np.mean(np.square(np.subtract(pair["numbers"], pair["drawn"]))))
        axes.set_title(f"mean square error {error:.3g}", fontsize=9)
        axes.grid(alpha=0.3)
    grid[0, 0].legend(fontsize=7)
    figure.suptitle("Reconstructions")
    return figure
