"""Examples with what the model says about them."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

COLUMNS = 6
MOST = 48
RIGHT, WRONG = "#1b7837", "#b2182b"


def samples(examples: Sequence[Mapping[str, Any]]) -> Figure:
    """A grid of images, each with truth, prediction and probability; errors stand out by colour and word."""
    shown = list(examples)[:MOST]
    columns = max(1, min(COLUMNS, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    figure = Figure(figsize=(max(1.9 * columns, 4.5), 2.5 * rows + 0.6), layout="constrained")
    wrong = sum(not _right(example) for example in shown)
    figure.suptitle(f"Sample predictions: {wrong} of {len(shown)} wrong")
    for index, example in enumerate(shown):
        _cell(figure.add_subplot(rows, columns, index + 1), example)
    return figure


def _right(example: Mapping[str, Any]) -> bool:
    return str(example["label"]) == str(example["predicted"])


def _cell(axes: Axes, example: Mapping[str, Any]) -> None:
    image = np.asarray(_decode(example["image_bytes"]))
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    colour = RIGHT if _right(example) else WRONG
    axes.set_title(_words(example), color=colour, fontsize=9)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=1 if _right(example) else 3)


def _decode(encoded: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    return image if image.mode == "L" else image.convert("RGB")


def _words(example: Mapping[str, Any]) -> str:
    mark = "" if _right(example) else "WRONG\n"
    said = f"predicted {_short(example['predicted'])}"
    if example.get("probability") is not None:
        said += f" ({example['probability']:.0%})"
    return f"{mark}{said}\ntruth {_short(example['label'])}"


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= 16 else text[:15] + "…"  # noqa: PLR2004  (the width of a cell)
