"""A folder or archive with one folder of WAV files per class, with or without `train` and `test` above the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.datasets import audio
from pipeline.datasets.class_folder import class_files, located
from pipeline.datasets.example import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = (".wav", ".wave")


@dataclass(frozen=True)
class WavFolder:
    """Raw input `audio_bytes` (the file as it is), label `label` (the name of the folder that the file lies in).

    Args:
        path: Folder or archive (`pipeline.datasets.archive`), absolute or under the data folder.
        rate: Samples per second that every file has.
        classes: Declared classes; a folder of another name is an error.
        without: Folders of no class whose own files are passed over.
    """

    path: str
    rate: int
    classes: tuple[str, ...]
    label: str = "label"
    without: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """One WAV file."""
        return {"audio_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """The folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [located(data, self.path, "WAV files")]

    def examples(self, data: Path) -> Iterator[Example]:
        """The recordings in the order of the paths or of the archive; files with other endings are passed over."""
        (path,) = self.files(data)
        for file in class_files(path, SUFFIXES, self.without):
            features = {"audio_bytes": file.content, "label": file.label}
            yield Example(file.source, features, file.split, audio.fault(file.content, self.rate))
