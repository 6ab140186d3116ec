"""Measures of encoded images, recordings and texts."""

from __future__ import annotations

import io
import re
import wave
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.features.image import open_image

if TYPE_CHECKING:
    from collections.abc import Sequence


IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
OUTLINE_SIDE = 8
READ_SIDE = 64  # pixels of a side; brightness and contrast are computed at this size
COLOURS = ("red", "green", "blue")
AUDIO_NUMBERS = ("seconds", "loudness", "crossings", "centroid")
SPECTRUM_SAMPLES = 1 << 16  # samples from which the spectrum is computed
SAMPLE_BYTES = 2  # bytes per sample
SILENCE = 1e-5  # -100 dB
# The words of `pipeline.features.text.words`, without TensorFlow.
LINE_BREAK = re.compile(r"<br\s*/?>")
APOSTROPHE = re.compile("['\u2019]")
WORD = re.compile(r"[^\W_]+|[!?]")
IMAGE_NUMBERS = ("width", "height", "brightness", "contrast", *COLOURS)


def is_image(value: bytes) -> bool:
    """Whether bytes begin like an image file."""
    return value.startswith(IMAGE_MAGIC) and (not value.startswith(b"RIFF") or value[8:12] == b"WEBP")


def measure_images(values: Sequence[Any]) -> dict[str, Any]:
    """Returns measures of images.

    Args:
        values: Encoded images (rows,); None or empty for missing ones.

    Returns:
        Numbers (rows,) by name, `format` as categories, and `outline` (rows, 64): a grey picture of 8x8 pixels.
        Unreadable images have NaN everywhere and the format "unreadable". Brightness and colours are in [0, 1].
    """
    numbers = np.full((len(values), len(IMAGE_NUMBERS)), np.nan)
    outlines = np.full((len(values), OUTLINE_SIDE * OUTLINE_SIDE), np.nan)
    formats: list[str | None] = [None] * len(values)
    for row, value in enumerate(values):
        if value:
            formats[row] = _measure_image(value, numbers[row], outlines[row])
    columns = {name: numbers[:, place] for place, name in enumerate(IMAGE_NUMBERS)}
    return {**columns, "format": formats, "outline": outlines}


def _measure_image(content: bytes, numbers: np.ndarray, outline: np.ndarray) -> str:
    """Fills in one image's numbers and outline, and returns its format."""
    from PIL import Image

    try:
        with open_image(content) as image:  # a request may be anything
            size, kind = image.size, f"{image.format} {image.mode}"
            image.draft("RGB", (READ_SIDE, READ_SIDE))  # a large JPEG is decoded to a small one at once
            small = _to_rgb(image)
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError):
        return "unreadable"
    pixels = np.asarray(small, np.float32).reshape(-1, 3) / 255
    grey = pixels.mean(axis=1)
    numbers[:] = (*size, grey.mean(), grey.std(), *pixels.mean(axis=0))
    outline[:] = (
        np.asarray(small.resize((OUTLINE_SIDE, OUTLINE_SIDE), Image.Resampling.BOX).convert("L"), float).ravel() / 255
    )
    return kind


def _to_rgb(image: Any) -> Any:
    """Returns the image in 8-bit RGB, reduced to at most `READ_SIDE` pixels per side."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image, np.float32) / 256).clip(0, 255).astype(np.uint8))
    image = image.convert("RGB")
    return image if max(image.size) <= READ_SIDE else image.resize((READ_SIDE, READ_SIDE), Image.Resampling.BOX)


def is_recording(value: bytes) -> bool:
    """Whether bytes begin like a WAV file."""
    return value.startswith(b"RIFF") and value[8:12] == b"WAVE"


def measure_recordings(values: Sequence[Any]) -> dict[str, Any]:
    """Returns measures of recordings.

    Args:
        values: WAV files of 16 bits (rows,); None or empty for missing ones.

    Returns:
        Numbers (rows,) by name: seconds, loudness (root mean square in dB of full scale), crossings of zero per second,
        centroid of the spectrum (Hz); and `format` as categories. Unreadable ones have NaN everywhere and the format
        "unreadable".
    """
    numbers = np.full((len(values), len(AUDIO_NUMBERS)), np.nan)
    formats: list[str | None] = [None] * len(values)
    for row, value in enumerate(values):
        if value:
            formats[row] = _measure_recording(value, numbers[row])
    return {**{name: numbers[:, place] for place, name in enumerate(AUDIO_NUMBERS)}, "format": formats}


def _measure_recording(content: bytes, numbers: np.ndarray) -> str:
    """Fills in one recording's numbers and returns its format."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            samples = file.readframes(file.getnframes())
    except (wave.Error, EOFError, ValueError):
        return "unreadable"
    whole = len(samples) // (SAMPLE_BYTES * channels) * SAMPLE_BYTES * channels
    if width != SAMPLE_BYTES or not whole or not rate:
        return "unreadable"
    sound = np.frombuffer(samples[:whole], "<i2").reshape(-1, channels).mean(axis=1) / 2**15
    numbers[:] = _sound_numbers(sound, rate)
    return f"WAV {rate} Hz, {channels} channel{'s' * (channels > 1)}"


def _sound_numbers(sound: np.ndarray, rate: int) -> tuple[float, ...]:
    seconds = len(sound) / rate
    loudness = 20 * np.log10(max(float(np.sqrt(np.mean(sound**2))), SILENCE))
    crossings = np.count_nonzero(np.diff(np.signbit(sound))) / seconds
    power = np.abs(np.fft.rfft(sound[:SPECTRUM_SAMPLES])) ** 2
    frequencies = np.fft.rfftfreq(min(len(sound), SPECTRUM_SAMPLES), 1 / rate)
    return seconds, loudness, crossings, float(power @ frequencies / max(power.sum(), SILENCE**2))


def split_words(value: bytes | str) -> list[str]:
    """Returns the words of a text in lower case; "!" and "?" are words, too."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return WORD.findall(APOSTROPHE.sub("", LINE_BREAK.sub(" ", text.lower())))


def measure_texts(values: Sequence[Any]) -> dict[str, Any]:
    """Returns measures of texts.

    Args:
        values: UTF-8 (rows,); None or empty for missing ones.

    Returns:
        `words`: number of words (rows,), NaN for missing texts; `vocabulary`: the different words, a set per row.
    """
    texts = [split_words(value) if value else None for value in values]
    lengths = np.array([np.nan if tokens is None else len(tokens) for tokens in texts], float)
    return {"words": lengths, "vocabulary": [set(tokens or ()) for tokens in texts]}


def unknown_share(texts: Sequence[set[str]], known: frozenset[str]) -> np.ndarray:
    """Returns the share of unknown words among each text's different words (rows,); NaN for a text without words."""
    return np.array([len(words - known) / len(words) if words else np.nan for words in texts])
