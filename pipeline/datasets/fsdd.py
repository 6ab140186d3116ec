"""Free Spoken Digit Dataset: 3,000 recordings of the digits 0 to 9 in English, 50 of each by six speakers, at 8 kHz.

Source: Z. Jackson et al., Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset, README.
Licence: CC BY-SA 4.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.features import audio
from pipeline.formats.base import Example
from pipeline.formats.download import read_members

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]+)\.wav")
TEST_RECORDINGS = 5  # recordings 0 to 4 of each digit and speaker are the official test split


@dataclass(frozen=True)
class SpokenDigits:
    """Raw input `audio_bytes` (WAV, 8 kHz, mono), label `label` ("0" to "9"); `speaker` for slices and groups.

    Args:
        path: Path in the data folder: a clone of the source, or an archive of one.
    """

    path: str
    rate: int = 8000
    classes: tuple[str, ...] = tuple("0123456789")
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One WAV file."""
        return {"audio_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the archive, or else the folder of the recordings.

        Raises:
            PipelineError: Neither exists.
        """
        archive = data / self.path
        location = next((path for path in (archive, archive.parent / "recordings") if path.exists()), None)
        if location is None:
            raise PipelineError(
                "The files of the spoken digits do not exist.",
                expected=f"the archive {archive}, or the folder {archive.parent / 'recordings'}",
                received="neither",
                action=f"git clone {SOURCE} {archive.parent}, or set KERASPIPE_DATA to the folder above it",
            )
        return [location]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the recordings in the order of the archive; test are recordings 0 to 4 of each digit and speaker."""
        (path,) = self.files(data)
        for name, content in read_members(path, (".wav",)):
            yield self._example(f"{path}: {name}", name.rpartition("/")[2], content)

    def _example(self, source: str, name: str, content: bytes) -> Example:
        match = NAME.fullmatch(name)
        if not match:
            return Example(source, {}, fault="its name is not DIGIT_SPEAKER_NUMBER.wav")
        digit, speaker, number = match.groups()
        features = {"audio_bytes": content, "label": digit.encode(), "speaker": speaker.encode()}
        split = "test" if int(number) < TEST_RECORDINGS else "train"
        return Example(source, features, split, audio.fault(content, self.rate))


FSDD = SpokenDigits("fsdd/fsdd.tar.xz")
