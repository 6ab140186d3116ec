"""What a generator drew in each epoch: kept in files while it learns, then one animation and one film strip.

Both say that a model made the pictures, as `pipeline.generation.png` does.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.generation.png import COMMENT, XMP, XMP_KEYWORD
from pipeline.store import fileio
from pipeline.training.augmentation_preview import load_font
from pipeline.training.files import ANIMATION, STRIP, TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 10  # epochs in the strip, and samples of each
FRAMES = 60  # in the animation, at most
FRAME_MS, LAST_MS = 300, 3000
SIDE = 56  # smallest side of a sample, in pixels
GAP, NAME_WIDTH, TITLE_HEIGHT = 2, 80, 22


def write_texts(folder: Path, epoch: int, texts: Sequence[str]) -> None:
    """Keeps the texts of an epoch."""
    with fileio.replace_file(folder / f"{epoch:05}.txt") as temporary:
        body = "\n\n".join(texts[:SHOWN])
        temporary.write_text(f"--- epoch {epoch} ---\n{body}\n", encoding="utf-8")


def write_images(folder: Path, epoch: int, images: np.ndarray) -> None:
    """Keeps the images of an epoch, (count, height, width, channels) of uint8."""
    with fileio.replace_file(folder / f"{epoch:05}.npy") as temporary, temporary.open("wb") as file:
        np.save(file, images, allow_pickle=False)


def write_film(folder: Path, out: Path) -> None:
    """Writes what the epochs drew: an animation and a strip of images, or one file of texts.

    Args:
        folder: Where it was kept.
        out: Folder of the new files.
    """
    out.mkdir(parents=True, exist_ok=True)
    texts = sorted(folder.glob("*.txt"))
    if texts:
        with fileio.replace_file(out / TEXTS) as temporary:
            temporary.write_text("\n".join(path.read_text(encoding="utf-8") for path in texts), encoding="utf-8")
    epochs = [(int(path.stem), path) for path in sorted(folder.glob("*.npy"))]
    if epochs:
        _write_animation(_choose(epochs, FRAMES), out / ANIMATION)
        _write_strip(_choose(epochs, SHOWN), out / STRIP)


def _choose(epochs: Sequence[tuple[int, Path]], count: int) -> list[tuple[int, np.ndarray]]:
    """Reads epochs that are evenly apart, the first and the last among them."""
    places = sorted({round(place) for place in np.linspace(0, len(epochs) - 1, min(count, len(epochs)))})
    return [(epochs[place][0], np.load(epochs[place][1], allow_pickle=False)) for place in places]


def _write_animation(epochs: Sequence[tuple[int, np.ndarray]], path: Path) -> None:
    side = math.isqrt(len(epochs[0][1]))
    frames = [
        _sheet([images[row * side : (row + 1) * side] for row in range(side)], [f"epoch {n}"]) for n, images in epochs
    ]
    with fileio.replace_file(path) as temporary:
        times = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
        frames[0].save(
            temporary, "gif", save_all=True, append_images=frames[1:], duration=times, loop=0, comment=COMMENT.encode()
        )


def _write_strip(epochs: Sequence[tuple[int, np.ndarray]], path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text("Comment", COMMENT)
    mark.add_itxt(XMP_KEYWORD, XMP)
    sheet = _sheet([images[:SHOWN] for _, images in epochs], [f"epoch {number}" for number, _ in epochs])
    with fileio.replace_file(path) as temporary:
        sheet.save(temporary, "png", pnginfo=mark)


def _sheet(rows: Sequence[np.ndarray], names: Sequence[str]) -> Any:
    """Returns a picture of rows of images, each (count, height, width, channels); one name is the title of all."""
    from PIL import Image, ImageDraw

    scale = max(1, SIDE // rows[0].shape[1])
    large = [images.repeat(scale, 1).repeat(scale, 2) for images in rows]
    _, height, width, channels = large[0].shape
    left, top = (NAME_WIDTH, 0) if len(names) > 1 else (0, TITLE_HEIGHT)
    columns = max(map(len, large))
    sheet = Image.new("RGB", (left + columns * (width + GAP), top + len(large) * (height + GAP)), "white")
    for row, images in enumerate(large):
        for column, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if channels == 1 else image)
            sheet.paste(picture, (left + column * (width + GAP), top + row * (height + GAP)))
    draw, font = ImageDraw.Draw(sheet), load_font()
    for row, name in enumerate(names):
        draw.text((4, TITLE_HEIGHT / 2 if top else (row + 0.5) * (height + GAP)), name, "black", font, "lm")
    return sheet
