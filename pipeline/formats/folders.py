"""Folders and archives with one folder of files per class: images, texts, recordings.

A level such as `train` and `test` may lie above the classes; it gives the official split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.features import audio, image, text
from pipeline.formats.base import Example
from pipeline.formats.download import read_members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


# Validation files are learnt from, too: eval is split off train by hash of the content.
SPLIT_FOLDERS = {"train": "train", "val": "train", "valid": "train", "validation": "train", "test": "test"}
WAV_SUFFIXES = (".wav", ".wave")


@dataclass(frozen=True)
class ClassFile:
    """A file in the folder of its class.

    Attributes:
        source: Where it lies, for messages.
        content: Its bytes.
        folder: Name of the folder that it lies in; empty at the top.
        split: "train", "test", or empty where no folder says so.
    """

    source: str
    content: bytes
    folder: str
    split: str

    @property
    def label(self) -> bytes:
        """The folder's name; in an archive it need not be UTF-8, and Python keeps such bytes as lone surrogates."""
        return self.folder.encode(errors="surrogateescape")


def locate(data: Path, path: str, each: str) -> Path:
    """The folder or archive at a path, absolute or under the data folder.

    Args:
        data: The data folder.
        path: As the recipe has it.
        each: What lies in the folder of a class, for the message.

    Raises:
        PipelineError: There is nothing.
    """
    location = data / Path(path).expanduser()
    if not location.exists():
        raise PipelineError(
            f"There is no folder or archive {location}.",
            expected=f"a folder, .tar, .tar.gz, .tar.xz or .zip file with one folder of {each} per class",
            received="nothing at that path",
            action="correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
        )
    return location


def read_class_files(path: Path, suffixes: Collection[str], without: Collection[str] = ()) -> Iterator[ClassFile]:
    """The files with one of the endings, ordered by path, or as they lie in the archive.

    Hidden files, which file managers leave, are passed over.

    Args:
        path: Folder or archive.
        suffixes: Endings in lower case.
        without: Folders whose own files are passed over.

    Raises:
        PipelineError: The archive is damaged.
    """
    for name, content in read_members(path, suffixes):
        *above, folder, file = ("", *PurePosixPath(name).parts)
        if not file.startswith(".") and folder not in without:
            split = next((SPLIT_FOLDERS[part] for part in above if part in SPLIT_FOLDERS), "")
            source = str(path / name).encode(errors="backslashreplace").decode()  # surrogates cannot be printed
            yield ClassFile(source, content, folder, split)


@dataclass(frozen=True)
class ImageFolder:
    """Raw input `image_bytes` (the file as it is), label `label` (the folder's name).

    Args:
        path: Folder, or `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file; absolute or under the data folder.
        shape: Height, width, channels (1 grey, 3 RGB) that every image has, or is decoded to.
        classes: Declared classes; a folder of another name is an error.
        resize: Whether images of other sizes, colours and orientations are taken, too; the recipe then decodes them
            with `image.decode(…, resize=True)`.
        without: Folders of no class whose own files are passed over.
    """

    path: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    label: str = "label"
    resize: bool = False
    without: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """The folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "images")]

    def examples(self, data: Path) -> Iterator[Example]:
        """The images, ordered by path, or as they lie in the archive; files with other endings are passed over."""
        (path,) = self.files(data)
        for file in read_class_files(path, image.SUFFIXES, self.without):
            features = {"image_bytes": file.content, "label": file.label}
            fault = image.fault(file.content, self.shape, resize=self.resize)
            yield Example(file.source, features, file.split, fault)


@dataclass(frozen=True)
class TextFolder:
    """Raw input `text` (the file's bytes, UTF-8), label `label` (the name of the folder that the file lies in).

    Args:
        path: Folder, or `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file; absolute or under the data folder.
        classes: Declared classes; a folder of another name is an error.
        without: Folders of no class that are passed over, such as "unsup".
    """

    path: str
    classes: tuple[str, ...]
    without: tuple[str, ...] = ()
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One text."""
        return {"text": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """The folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, ".txt files")]

    def examples(self, data: Path) -> Iterator[Example]:
        """The texts, ordered by path, or as they lie in the archive."""
        (path,) = self.files(data)
        return read_texts(path, self.without)


def read_texts(path: Path, without: Collection[str] = ()) -> Iterator[Example]:
    """One example for every `.txt` file in a class's folder; a file outside such folders, a README, is none.

    Args:
        path: Folder or archive.
        without: Folders that are passed over.

    Raises:
        PipelineError: The archive is damaged.
    """
    for file in read_class_files(path, (".txt",), {"", *SPLIT_FOLDERS, *without}):
        yield Example(file.source, {"text": file.content, "label": file.label}, file.split, text.fault(file.content))


@dataclass(frozen=True)
class WavFolder:
    """Raw input `audio_bytes` (the file as it is), label `label` (the name of the folder that the file lies in).

    Args:
        path: Folder or archive (`pipeline.formats.download`), absolute or under the data folder.
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
        return [locate(data, self.path, "WAV files")]

    def examples(self, data: Path) -> Iterator[Example]:
        """The recordings in the order of the paths or of the archive; files with other endings are passed over."""
        (path,) = self.files(data)
        for file in read_class_files(path, WAV_SUFFIXES, self.without):
            features = {"audio_bytes": file.content, "label": file.label}
            yield Example(file.source, features, file.split, audio.fault(file.content, self.rate))
