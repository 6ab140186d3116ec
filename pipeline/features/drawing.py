"""Boxes and masks drawn on pictures, for people; the pixels of an encoded mask."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.features import image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

COLOURS = (
    "#d95f02",
    "#1b9e77",
    "#7570b3",
    "#e7298a",
    "#1f78b4",
    "#b15928",
    "#e6ab02",
    "#66a61e",
)  # ColorBrewer's Dark2
SHARE = 0.45  # of the colour of a mask in a pixel
SIDE = 320  # pixels of the longer side of a stored picture
SHORTEST = 300  # pixels of the shorter side from which lines are wider


def draw_boxes(
    picture: Image.Image,
    boxes: np.ndarray,
    labels: Sequence[str],
    scores: Sequence[float] | None = None,
    names: Sequence[str] = (),
) -> Image.Image:
    """Returns a picture with boxes, a colour per label, and the label and the score of each.

    Args:
        picture: The picture.
        boxes: ymin, xmin, ymax, xmax from 0 to 1, (boxes, 4).
        labels: Label of each box.
        scores: How sure each is, from 0 to 1; None for true boxes.
        names: All labels, so that one has the same colour on every picture.
    """
    from PIL import ImageDraw

    drawn = picture.convert("RGB")
    draw, (width, height) = ImageDraw.Draw(drawn), drawn.size
    line = max(1, min(width, height) // SHORTEST + 1)
    order = list(dict.fromkeys([*names, *sorted(labels)]))
    for place, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        colour = COLOURS[order.index(label) % len(COLOURS)]
        top, left, bottom, right = np.asarray(box) * (height, width, height, width)
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=line)
        words = label if scores is None else f"{label} {scores[place]:.2f}"
        draw.text((left + line + 1, top + line), words, fill=colour)
    return drawn


def overlay_mask(picture: Image.Image, mask: np.ndarray, colour: str = COLOURS[0]) -> Image.Image:
    """Returns a picture with the pixels of a mask (height, width) of bool in a colour."""
    from PIL import Image, ImageColor

    pixels = np.asarray(picture.convert("RGB"), np.float32)
    tint = np.array(ImageColor.getrgb(colour)[:3], np.float32)
    mixed = np.where(mask[..., None], (1 - SHARE) * pixels + SHARE * tint, pixels)
    return Image.fromarray(mixed.round().astype(np.uint8))


def read_mask(content: bytes) -> np.ndarray:
    """Returns the pixels of an encoded mask that are not 0, (height, width) of bool.

    What is transparent is outside; if there is no colour at all, what is opaque is inside.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        if opened.has_transparency_data:
            return _read_transparent(np.asarray(opened.convert("RGBA")))
        pixels = np.asarray(opened.convert("RGB") if opened.mode == "P" else opened)
    inside: np.ndarray = pixels != 0
    return np.asarray(inside.any(axis=-1)) if inside.ndim == 3 else inside  # noqa: PLR2004  (height, width, channels)


def mask_values(content: bytes) -> set[int]:
    """Returns the numbers that are not 0 in a mask of one channel or with a palette."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        return set(np.unique(np.asarray(opened)).tolist()) - {0} if opened.mode in ("L", "P", "1", "I") else set()


def _read_transparent(pixels: np.ndarray) -> np.ndarray:
    coloured, opaque = np.asarray(pixels[..., :3].any(axis=-1)), pixels[..., 3] > 0
    inside: np.ndarray = coloured & opaque if coloured.any() else opaque
    return inside


def has_truth(row: Mapping[str, Any]) -> bool:
    """Returns whether a row is a picture with true boxes or a true mask."""
    return "image_bytes" in row and ("mask_bytes" in row or {"boxes", "classes"} <= row.keys())


def draw_truth(row: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """Returns the picture of a row with its true boxes or its true mask.

    Args:
        row: Raw values by name, the targets padded or not.
        names: Names of the classes of boxes.
    """
    asked = image.open_upright(row["image_bytes"])
    if "mask_bytes" in row:
        return overlay_mask(asked, read_mask(row["mask_bytes"]), COLOURS[1])
    kinds = np.asarray(row["classes"], int)
    labels = [names[kind] if kind < len(names) else str(kind) for kind in kinds[kinds >= 0]]
    return draw_boxes(asked, np.reshape(row["boxes"], (-1, 4))[kinds >= 0], labels, names=names)


def encode_truths(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Returns those of some rows that are annotated pictures, drawn as PNG in base64."""
    return [encode(draw_truth(row, names)) for row in rows if has_truth(row)]


def encode(picture: Image.Image) -> str:
    """Returns a picture as PNG in base64, at most `SIDE` pixels wide and high."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    return base64.b64encode(image.encode_picture(small)).decode()
