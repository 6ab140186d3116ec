"""The picture of structured answers: each row the asked picture, the truth, and the answer."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from pipeline.plots.examples import FONT_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GAP, TITLE_HEIGHT = 8, 24  # pixels
SETS_PER_ROW = 2


def answers(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draws the pictures of rows side by side, each with its title.

    Args:
        rows: {"pictures": [[title, base64 PNG], …]} each; those without pictures are left out.
    """
    sets = [
        [(title, Image.open(io.BytesIO(base64.b64decode(content)))) for title, content in row["pictures"]]
        for row in rows
        if row.get("pictures")
    ]
    width = max(picture.width for pictures in sets for _, picture in pictures) + GAP
    height = max(picture.height for pictures in sets for _, picture in pictures) + GAP + TITLE_HEIGHT
    many = max(map(len, sets))
    columns, lines = min(SETS_PER_ROW, len(sets)) * many, -(-len(sets) // SETS_PER_ROW)
    sheet = Image.new("RGB", (columns * width + GAP, lines * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT_FILE, 13)
    for place, pictures in enumerate(sets):
        for part, (title, picture) in enumerate(pictures):
            left = GAP + (place % SETS_PER_ROW * many + part) * width
            top = GAP + place // SETS_PER_ROW * height
            draw.text((left, top + TITLE_HEIGHT / 2), title, "black", font, "lm")
            sheet.paste(picture, (left, top + TITLE_HEIGHT))
    return sheet
