"""The raw inputs of a recipe as numbers, categories and texts, for standard models.

What an input is, its values say: an image or a recording by its first bytes, a date if nearly all are dates, a text if
most have several words. All else of kind "bytes" is a category.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from pipeline.features import dates
from pipeline.features.image import open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.baseline.rows import Columns

SAMPLED = 500
MOSTLY = 0.9
TEXT_WORDS = 3.0  # words of a text on average
TEXT_DISTINCT = 0.5  # share of the texts that differ
SIDE = 16  # pixels of a small image
PIXELS = SIDE**2 + SIDE**2 // 2
BANDS = 32
FRAME = 512  # samples of a recording
IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")


@dataclass(frozen=True)
class Inputs:
    """The inputs of some rows.

    Attributes:
        numbers: (rows, n), NaN where one is missing.
        categories: (rows, c) of text.
        texts: (rows,) of text; None if no input is a text.
    """

    numbers: np.ndarray
    categories: np.ndarray
    texts: np.ndarray | None

    def take(self, rows: np.ndarray) -> Inputs:
        """Returns some of the rows, (rows,) of bool."""
        return Inputs(self.numbers[rows], self.categories[rows], None if self.texts is None else self.texts[rows])


def choose_uses(columns: Columns, kinds: Mapping[str, str]) -> dict[str, str]:
    """Returns what each input is: "number", "vector", "date", "image", "sound", "text" or "category".

    Args:
        columns: The training rows.
        kinds: Kind of each raw input.
    """
    return {name: _choose_use(columns[name]) for name in kinds}


def _choose_use(values: np.ndarray) -> str:
    if values.dtype != object:
        return "number" if values.ndim == 1 else "vector"
    if values.ndim > 1:
        return "category"
    known = [value for value in values[:: max(len(values) // SAMPLED, 1)] if value]
    if (known and known[0].startswith(IMAGE_STARTS)) or (known and known[0][8:12] == b"WEBP"):
        return "image"
    if known and known[0][8:12] == b"WAVE":
        return "sound"
    return _text_use([value.decode(errors="replace") for value in known])


def _text_use(texts: list[str]) -> str:
    if not texts:
        return "category"
    if np.mean([dates.iso(text) is not None for text in texts]) > MOSTLY:
        return "date"
    distinct = len(set(texts)) > TEXT_DISTINCT * len(texts)
    return "text" if distinct and np.mean([len(text.split()) for text in texts]) >= TEXT_WORDS else "category"


def encode(columns: Columns, uses: Mapping[str, str]) -> Inputs:
    """Returns the inputs of rows.

    Args:
        columns: The raw inputs by name, (rows, …) each.
        uses: See `choose_uses`.
    """
    rows = len(next(iter(columns.values())))
    numbers = [ENCODERS[use](columns[name]) for name, use in uses.items() if use in ENCODERS]
    categories = [_decode(columns[name]).reshape(rows, -1) for name, use in uses.items() if use == "category"]
    texts = [_decode(columns[name]) for name, use in uses.items() if use == "text"]
    return Inputs(
        np.concatenate([np.zeros((rows, 0)), *numbers], axis=1),
        np.concatenate([np.zeros((rows, 0), object), *categories], axis=1),
        np.array([" ".join(cells) for cells in zip(*texts, strict=True)], object) if texts else None,
    )


def _decode(values: np.ndarray) -> np.ndarray:
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.ravel()]
    return np.array(texts, object).reshape(values.shape)


def _numbers(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1).astype(np.float64)
    return np.where(np.isfinite(flat), flat, np.nan)


def _dates(values: np.ndarray) -> np.ndarray:
    """Days, month, weekday and hour, (rows, 4)."""
    return np.array([_date(dates.iso(value.decode(errors="replace"))) for value in values]).reshape(len(values), 4)


def _date(text: str | None) -> tuple[float, ...]:
    if text is None:
        return (np.nan,) * 4
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return moment.timestamp() / 86_400, moment.month, moment.weekday(), moment.hour


def _images(values: np.ndarray) -> np.ndarray:
    """Grey images of 16x16 pixels between 0 and 1, and red and blue less grey of 8x8; NaN where one cannot be read."""
    return np.stack([_image(value) for value in values])


def _image(content: bytes) -> np.ndarray:
    from PIL import Image

    try:
        with open_image(content) as image:
            image.draft("RGB", (SIDE, SIDE))  # a JPEG is decoded to an eighth of its size: ten times as fast
            small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return np.full(PIXELS, np.nan)
    grey = np.asarray(small.convert("L"), np.float64)
    colours = np.asarray(small, np.float64)[:, :, ::2] - grey[:, :, None]
    halves = colours.reshape(SIDE // 2, 2, SIDE // 2, 2, 2).mean(axis=(1, 3))
    return np.concatenate([grey.ravel(), halves.ravel()]) / 255


def _sounds(values: np.ndarray) -> np.ndarray:
    """Mean and deviation of the logarithmic energy in each band of frequencies; NaN for one that cannot be read."""
    return np.stack([_sound(value) for value in values])


def _sound(content: bytes) -> np.ndarray:
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, data = file.getnchannels(), file.readframes(file.getnframes())
        samples = np.frombuffer(data, "<i2")[::channels] / 32_768
    except (wave.Error, EOFError, ValueError):
        return np.full(2 * BANDS, np.nan)
    frames = np.resize(samples, (max(len(samples) // FRAME, 1), FRAME)) if len(samples) else np.zeros((1, FRAME))
    energy = np.abs(np.fft.rfft(frames * np.hanning(FRAME)))[:, 1:] ** 2
    edges = np.unique(np.geomspace(1, energy.shape[1], BANDS + 1).astype(int) - 1)
    bands = np.log(np.add.reduceat(energy, edges[:-1], axis=1) + 1e-6)
    summary = np.concatenate([bands.mean(axis=0), bands.std(axis=0)])
    return np.pad(summary, (0, 2 * BANDS - len(summary)))


ENCODERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "number": _numbers,
    "vector": _numbers,
    "date": _dates,
    "image": _images,
    "sound": _sounds,
}
