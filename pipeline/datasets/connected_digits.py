"""Connected digits: recordings of the Free Spoken Digit Dataset joined to numbers of up to five digits, with pauses.

Each number is spoken by one speaker, and the test speakers are in no other split. The recordings of a speaker are
shuffled and joined in several rounds, with pauses of random lengths and faint noise everywhere; some rows are silence.
All of it is drawn with seeds from the content of the recordings, so the same files give the same numbers.

Source: Z. Jackson et al., Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset, README.
Licence: CC BY-SA 4.0, which the joined recordings share.
"""

from __future__ import annotations

import hashlib
import io
import wave
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipeline.datasets.fsdd import FSDD, SpokenDigits
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MOST = 5  # digits of a number
LONGEST = 40_000  # samples of a number, 5 s; a digit that does not fit is left out
PAUSE = (400, 3200)  # samples before, between and after digits: 0.05 to 0.4 s
NOISE = (0.5, 5.0)  # deviation of the noise; a sample is a number of 16 bits
SILENT = 0.04  # share of the rows that are silence with noise


@dataclass(frozen=True)
class Clip:
    """One recording of a digit: its name, the digit and its samples (int16)."""

    name: str
    digit: str
    samples: np.ndarray


@dataclass(frozen=True)
class ConnectedDigits:
    """Raw input `audio_bytes` (WAV, 8 kHz, mono), target `digits` such as "3071" or ""; `speaker` for slices.

    Args:
        source: The recordings of single digits.
        test_speakers: The speakers of the official test split.
        rounds: How often each recording is used.
        test_rounds: How often in the test split.
    """

    source: SpokenDigits = FSDD
    test_speakers: tuple[str, ...] = ("theo",)
    rounds: int = 6
    test_rounds: int = 2
    identifiers: tuple[str, ...] = ("speaker",)
    label: str = ""
    classes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=lambda: {"audio_bytes": "bytes"})
    targets: dict[str, str] = field(default_factory=lambda: {"digits": "bytes"})

    @property
    def rate(self) -> int:
        """Samples per second."""
        return self.source.rate

    def files(self, data: Path) -> list[Path]:
        """Returns the files of the single digits."""
        return self.source.files(data)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the recordings that cannot be used, then the numbers, speaker by speaker."""
        speakers: defaultdict[str, list[Clip]] = defaultdict(list)
        for example in self.source.examples(data):
            if example.fault:
                yield example
            else:
                speakers[example.features["speaker"].decode()].append(_read_clip(example))  # type: ignore[union-attr]
        for speaker, clips in sorted(speakers.items()):
            split, rounds = ("test", self.test_rounds) if speaker in self.test_speakers else ("train", self.rounds)
            for number in range(rounds):
                for place, (digits, content) in enumerate(join_clips(clips, number, self.rate)):
                    features = {"audio_bytes": content, "digits": digits.encode(), "speaker": speaker.encode()}
                    yield Example(f"{speaker}, round {number}, number {place}", features, split)


def _read_clip(example: Example) -> Clip:
    content, digit = example.features["audio_bytes"], example.features["label"]
    assert isinstance(content, bytes)
    assert isinstance(digit, bytes)
    with wave.open(io.BytesIO(content)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    return Clip(example.source, digit.decode(), samples.mean(axis=1).astype(np.int16))


def join_clips(clips: Sequence[Clip], round_number: int, rate: int) -> Iterator[tuple[str, bytes]]:
    """Joins each recording of one speaker once; yields the digits and a WAV file of each number.

    Args:
        clips: The recordings.
        round_number: Another one gives other numbers.
        rate: Samples per second.
    """
    random = np.random.default_rng(_seed(clips, round_number))
    left = [clips[place] for place in random.permutation(len(clips))]
    while left:
        count = 0 if random.random() < SILENT else int(random.integers(1, MOST + 1))
        chosen, samples = _place_clips(left[:count], random)
        del left[: len(chosen)]
        noisy = samples + random.normal(0, np.exp(random.uniform(*np.log(NOISE))), len(samples))
        yield "".join(clip.digit for clip in chosen), encode_wav(noisy, rate)


def _seed(clips: Sequence[Clip], round_number: int) -> list[int]:
    digest = hashlib.sha256(b"".join(clip.samples.tobytes() for clip in clips)).digest()
    return [round_number, *np.frombuffer(digest, "<u4").tolist()]


def _place_clips(clips: Sequence[Clip], random: np.random.Generator) -> tuple[list[Clip], np.ndarray]:
    """Returns the clips that fit, at least the first one, and their samples with pauses around them."""
    parts = [_pause(random)]
    chosen: list[Clip] = []
    for clip in clips:
        following = [clip.samples[: LONGEST - 2 * PAUSE[1]], _pause(random)]
        if chosen and sum(map(len, parts + following)) > LONGEST:
            break
        chosen.append(clip)
        parts += following
    if not chosen:
        parts += [np.zeros(int(random.integers(0, LONGEST // 2)))]
    return chosen, np.concatenate(parts).astype(np.float64)


def _pause(random: np.random.Generator) -> np.ndarray:
    return np.zeros(int(random.integers(*PAUSE)))


def encode_wav(samples: np.ndarray, rate: int) -> bytes:
    """Encodes mono samples (numbers of 16 bits, not yet rounded) as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(np.round(samples), -(2**15), 2**15 - 1).astype("<i2").tobytes())
    return out.getvalue()


CONNECTED_DIGITS = ConnectedDigits()
