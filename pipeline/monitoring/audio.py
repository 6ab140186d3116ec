"""What is measured of a recording."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = ("seconds", "loudness", "crossings", "centroid")
HEARD = 1 << 16  # samples that the spectrum is taken of
WIDTH = 2  # bytes per sample
QUIET = 1e-5  # -100 dB


def looks_so(value: bytes) -> bool:
    """Whether bytes begin as a WAV file does."""
    return value.startswith(b"RIFF") and value[8:12] == b"WAVE"


def measured(values: Sequence[Any]) -> dict[str, Any]:
    """Measures of recordings.

    Args:
        values: WAV files of 16 bits (rows,); None or empty where one is missing.

    Returns:
        Numbers (rows,) by name: seconds, loudness (root mean square in dB of full scale), crossings of zero per second,
        centroid of the spectrum (Hz); and `format` as categories. What cannot be read has NaN everywhere and the format
        "unreadable".
    """
    numbers = np.full((len(values), len(NUMBERS)), np.nan)
    formats: list[str | None] = [None] * len(values)
    for row, value in enumerate(values):
        if value:
            formats[row] = _measure(value, numbers[row])
    return {**{name: numbers[:, place] for place, name in enumerate(NUMBERS)}, "format": formats}


def _measure(content: bytes, numbers: np.ndarray) -> str:
    """Fills in one recording's numbers and returns its format."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            samples = file.readframes(file.getnframes())
    except (wave.Error, EOFError, ValueError):
        return "unreadable"
    whole = len(samples) // (WIDTH * channels) * WIDTH * channels
    if width != WIDTH or not whole:
        return "unreadable"
    sound = np.frombuffer(samples[:whole], "<i2").reshape(-1, channels).mean(axis=1) / 2**15
    numbers[:] = _numbers(sound, rate)
    return f"WAV {rate} Hz, {channels} channel{'s' * (channels > 1)}"


def _numbers(sound: np.ndarray, rate: int) -> tuple[float, ...]:
    seconds = len(sound) / rate
    loudness = 20 * np.log10(max(float(np.sqrt(np.mean(sound**2))), QUIET))
    crossings = np.count_nonzero(np.diff(np.signbit(sound))) / seconds
    power = np.abs(np.fft.rfft(sound[:HEARD])) ** 2
    frequencies = np.fft.rfftfreq(min(len(sound), HEARD), 1 / rate)
    return seconds, loudness, crossings, float(power @ frequencies / max(power.sum(), QUIET**2))
