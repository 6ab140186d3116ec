"""Images with what the model says about them, or images that it drew itself.

Pillow puts them on one sheet: a Matplotlib figure with forty pairs of axes takes ten times as long.
"""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = 8
MOST = 48
WIDTH, BARE, WORDS = 160, 165, 52  # pixels: of a cell, its height without words, and what words add to it
SIDE = 145  # of an image
MARGIN = 40  # above all cells
NARROWEST = 450  # takes the title
LINE, NAME = 20, 13  # characters that fit above a cell
RIGHT, WRONG = "#1b7837", "#b2182b"
FONT = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def samples(examples: Sequence[Mapping[str, Any]]) -> Image.Image:
    """A grid of images, each with truth, prediction and probability; errors stand out by colour and word.

    Images without a label were drawn by the model, and stand alone.
    """
    shown = list(examples)[:MOST]
    judged = any("label" in example for example in shown)
    columns, height = max(1, min(COLUMNS, len(shown))), BARE + WORDS * judged
    size = max(WIDTH * columns, NARROWEST), MARGIN + height * max(1, math.ceil(len(shown) / columns))
    sheet = Image.new("RGB", size, "white")
    title = _title(shown) if judged else f"{len(shown)} images that the model drew"
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 12)
    draw.text((size[0] / 2, MARGIN / 2), title, "black", ImageFont.truetype(FONT, 17), "mm")
    for index, example in enumerate(shown):
        middle = WIDTH * (index % columns) + WIDTH // 2, MARGIN + height * (index // columns + 1) - BARE // 2
        _paste(sheet, _decode(example["image_bytes"]), middle)
        if judged:
            _judge(draw, example, middle, font)
    return sheet


def _title(examples: Sequence[Mapping[str, Any]]) -> str:
    wrong = sum(not _right(example) for example in examples)
    return f"Sample predictions: {wrong} of {len(examples)} wrong"


def _right(example: Mapping[str, Any]) -> bool:
    return str(example["label"]) == str(example["predicted"])


def _decode(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")


def _paste(sheet: Image.Image, image: Image.Image, middle: tuple[int, int]) -> None:
    """Puts an image around a point, as large as its cell lets it be."""
    scale = SIDE / max(image.size)
    wide, high = (max(1, round(length * scale)) for length in image.size)
    corner = middle[0] - wide // 2, middle[1] - high // 2
    sheet.paste(image.resize((wide, high), Image.Resampling.NEAREST), corner)


def _judge(
    draw: ImageDraw.ImageDraw, example: Mapping[str, Any], middle: tuple[int, int], font: ImageFont.FreeTypeFont
) -> None:
    """Words above an image and a frame around it."""
    (x, y), right, half = middle, _right(example), SIDE // 2 + 1
    colour = RIGHT if right else WRONG
    draw.multiline_text((x, y - half - 4), words(example), colour, font, "md", align="center")
    draw.rectangle((x - half, y - half, x + half, y + half), outline=colour, width=1 if right else 4)


def words(example: Mapping[str, Any]) -> str:
    """What stands above an image, a line each."""
    lines = [] if _right(example) else ["WRONG"]
    said = _short(example["predicted"])
    if example.get("probability") is not None:
        said += f" ({example['probability']:.0%})"
    # A long name needs the room of the word, which the line below makes dispensable.
    lines.append(said if len(said) > LINE - len("predicted ") else f"predicted {said}")
    lines.append(f"truth {_short(example['label'])}")
    return "\n".join(lines)


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= NAME else text[: NAME - 1] + "…"
