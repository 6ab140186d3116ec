"""A recipe over WAV files in one folder per class."""

from __future__ import annotations

import io
import math
import wave
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.datasets.archive import members
from pipeline.datasets.wav_folder import SUFFIXES, WavFolder
from pipeline.errors import PipelineError
from pipeline.scaffold import folders
from pipeline.scaffold.folders import Folders
from pipeline.scaffold.plan import Plan

if TYPE_CHECKING:
    from pipeline.datasets.example import Example

ROOT = Path("/")  # the paths are absolute here
SHORTEST_S, LONGEST_S = 0.3, 4.0
FRAME_S = 0.032


def plan(path: Path) -> Plan:
    """Looks at recordings.

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    lengths = Counter(_length(content) for _, content in members(path, SUFFIXES))
    rate = _rate(path, lengths)
    found = Folders()
    for example in WavFolder(str(path), rate, ()).examples(ROOT):
        _add(example, found)
    facts = folders.facts(path, found, "recordings")
    samples = _samples(lengths, rate)
    notes = [f"{rate} samples a second; {samples / rate:.1f} seconds of each recording are heard."]
    notes += folders.notes(facts["without"])
    return Plan("audio", facts | _facts(samples, rate, facts), folders.HEAD, found.rows(), notes)


def _add(example: Example, found: Folders) -> None:
    name = example.features["label"]
    assert isinstance(name, bytes)
    found.add(example.split, name.decode(errors="replace"), example.source, example.fault)


def _length(content: bytes) -> tuple[int, int]:
    """Samples per second, and samples; zeros for what is no WAV file."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            return file.getframerate(), file.getnframes()
    except (wave.Error, EOFError):
        return 0, 0


def _rate(path: Path, lengths: Counter[tuple[int, int]]) -> int:
    rates: Counter[int] = Counter()
    for (rate, _), count in lengths.items():
        rates[rate] += count
    rates.pop(0, None)
    if not rates:
        raise PipelineError(
            f"No recording in {path} can be read.",
            expected="WAV files of 16 bits (PCM)",
            received=f"{lengths.total()} files of another format",
            action="convert them, for instance with: ffmpeg -i IN -ar 16000 -ac 1 -c:a pcm_s16le OUT.wav",
        )
    return rates.most_common(1)[0][0]


def _samples(lengths: Counter[tuple[int, int]], rate: int) -> int:
    """So many that 19 of 20 recordings are heard to their end."""
    ordered = sorted(frames for (found, frames), count in lengths.items() if found == rate for _ in range(count))
    seconds = min(max(ordered[int(0.95 * (len(ordered) - 1))] / rate, SHORTEST_S), LONGEST_S)
    return math.ceil(round(10 * seconds, 3)) * rate // 10


def _facts(samples: int, rate: int, facts: dict[str, Any]) -> dict[str, Any]:
    frame = 2 ** round(FRAME_S * rate).bit_length()
    frame = frame // 2 if abs(frame // 2 - FRAME_S * rate) < abs(frame - FRAME_S * rate) else frame
    return {
        "samples": samples,
        "rate_hz": rate,
        "seconds": f"{samples / rate:.1f}",
        "frame": frame,
        "frames": 1 + (samples - frame) // (frame // 2),
        "blocks": (16, 32, 64),
        "sizes": facts["sizes"].halved(),
    }
