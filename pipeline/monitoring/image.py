"""What is measured of an encoded image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
SIDE = 8
READ = 64  # pixels of a side that brightness and contrast are taken of
COLOURS = ("red", "green", "blue")
NUMBERS = ("width", "height", "brightness", "contrast", *COLOURS)


def looks_so(value: bytes) -> bool:
    """Whether bytes begin as an image does."""
    return value.startswith(MAGIC) and (not value.startswith(b"RIFF") or value[8:12] == b"WEBP")


def measured(values: Sequence[Any]) -> dict[str, Any]:
    """Measures of images.

    Args:
        values: Encoded images (rows,); None or empty where one is missing.

    Returns:
        Numbers (rows,) by name, `format` as categories, and `outline` (rows, 64): a grey picture of 8x8 pixels. What
        cannot be read has NaN everywhere and the format "unreadable". Brightness and colours lie in [0, 1].
    """
    numbers = np.full((len(values), len(NUMBERS)), np.nan)
    outlines = np.full((len(values), SIDE * SIDE), np.nan)
    formats: list[str | None] = [None] * len(values)
    for row, value in enumerate(values):
        if value:
            formats[row] = _measure(value, numbers[row], outlines[row])
    columns = {name: numbers[:, place] for place, name in enumerate(NUMBERS)}
    return {**columns, "format": formats, "outline": outlines}


def _measure(content: bytes, numbers: np.ndarray, outline: np.ndarray) -> str:
    """Fills in one image's numbers and outline, and returns its format."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            size, kind = image.size, f"{image.format} {image.mode}"
            image.draft("RGB", (READ, READ))  # a large JPEG is decoded to a small one at once
            small = _rgb(image)
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError):
        return "unreadable"
    pixels = np.asarray(small, np.float32).reshape(-1, 3) / 255
    grey = pixels.mean(axis=1)
    numbers[:] = (*size, grey.mean(), grey.std(), *pixels.mean(axis=0))
    outline[:] = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX).convert("L"), float).ravel() / 255
    return kind


def _rgb(image: Any) -> Any:
    """The image in 8-bit colours, no larger than is looked at."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image, np.float32) / 256).clip(0, 255).astype(np.uint8))
    image = image.convert("RGB")
    return image if max(image.size) <= READ else image.resize((READ, READ), Image.Resampling.BOX)
