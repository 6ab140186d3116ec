"""Folders and archives with one folder of files per class: images, texts, recordings.

A level with folders such as `train` and `test` above the classes is the official split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.features import audio, image, text
from pipeline.formats.base import Example
from pipeline.formats.download import read_members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


# Validation files belong to train: eval is split off train by hash of the content.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "val", "valid", "validation", "dev"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SPLIT_FOLDER = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?:[-_ ]?(?:set|data|images|split))?", re.IGNORECASE)
HIDDEN = (".", "__MACOSX", "__pycache__", "@eaDir")
WAV_SUFFIXES = (".wav", ".wave")


def split_of(folder: str) -> str:
    """Returns "train" or "test" for a folder that is called like a split: Train, Testing, test_set; else empty."""
    match = SPLIT_FOLDER.fullmatch(folder)
    return SPLIT_NAMES[match[1].lower()] if match else ""


def find_split(folders: Iterable[str]) -> str:
    """Returns the split that the first of some folders is called like; empty if none is."""
    return next(filter(None, map(split_of, folders)), "")


def is_hidden(name: str) -> bool:
    """Returns whether a path has a part that file managers, notebooks or archives made: .ipynb_checkpoints."""
    return any(part.startswith(HIDDEN) for part in PurePosixPath(name).parts if part not in (".", ".."))


@dataclass(frozen=True)
class ClassFile:
    """A file in the folder of its class.

    Attributes:
        source: Its path, for messages.
        content: Its bytes.
        folder: Name of its folder; empty at the top.
        split: "train", "test", or empty without an official split.
    """

    source: str
    content: bytes
    folder: str
    split: str

    @property
    def label(self) -> bytes:
        """The folder's name; in an archive it need not be UTF-8, and Python reads such bytes as surrogates."""
        return self.folder.encode(errors="surrogateescape")


def locate(data: Path, path: str, each: str, source: str = "") -> Path:
    """Returns the folder or archive at a path, absolute or under the data folder.

    Args:
        data: The data folder.
        path: The recipe's path.
        each: What is in it, for the message.
        source: Where a public data set comes from, for the message.

    Raises:
        PipelineError: It does not exist.
    """
    location = data / Path(path).expanduser()
    if not location.exists():
        raise PipelineError(
            f"There is no folder or archive {location}.",
            expected=f"a folder, .tar, .tar.gz, .tar.xz or .zip file with {each}",
            received="nothing at that path",
            action=f"put {source} there, or set KERASPIPE_DATA to the folder above {Path(path).parts[0]}"
            if source
            else "correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
        )
    return location


def read_class_files(path: Path, suffixes: Collection[str], without: Collection[str] = ()) -> Iterator[ClassFile]:
    """Yields the files with one of the suffixes, ordered by path, or in the order of the archive.

    Hidden files and the files in hidden folders are skipped.

    Args:
        path: Folder or archive.
        suffixes: Suffixes in lower case.
        without: Folders whose files are skipped.

    Raises:
        PipelineError: The archive is damaged.
    """
    for name, content in read_members(path, suffixes):
        *above, folder, _ = ("", *PurePosixPath(name).parts)
        if not is_hidden(name) and folder not in without:
            split = find_split(above)
            source = str(path / name).encode(errors="backslashreplace").decode()  # surrogates cannot be printed
            yield ClassFile(source, content, folder, split)


@dataclass(frozen=True)
class ImageFolder:
    """Images in one folder per class: raw input `image_bytes` (the file), label `label` (the folder's name).

    Args:
        path: Folder, or `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file; absolute or under the data folder.
        shape: Height, width, channels (1 grey, 3 RGB) of every image, or to which it is decoded.
        classes: Declared classes; a folder of another name is an error.
        resize: Whether images of other sizes, colours and orientations are accepted; the recipe then decodes them
            with `image.decode(…, resize=True)`.
        without: Folders without a class whose files are skipped.
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
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "one folder of images per class")]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the images, ordered by path, or in the order of the archive; files with other suffixes are skipped."""
        (path,) = self.files(data)
        for file in read_class_files(path, image.SUFFIXES, self.without):
            features = {"image_bytes": file.content, "label": file.label}
            fault = image.fault(file.content, self.shape, resize=self.resize)
            yield Example(file.source, features, file.split, fault)


@dataclass(frozen=True)
class TextFolder:
    """Texts in one folder per class: raw input `text` (the file's bytes, UTF-8), label `label` (the folder's name).

    Args:
        path: Folder, or `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file; absolute or under the data folder.
        classes: Declared classes; a folder of another name is an error.
        without: Folders without a class that are skipped, such as "unsup".
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
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "one folder of .txt files per class")]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the texts, ordered by path, or in the order of the archive."""
        (path,) = self.files(data)
        return read_texts(path, self.without)


def read_texts(path: Path, without: Collection[str] = ()) -> Iterator[Example]:
    """Yields an example for every `.txt` file in a class's folder; skips files elsewhere, such as a README.

    Args:
        path: Folder or archive.
        without: Folders that are skipped.

    Raises:
        PipelineError: The archive is damaged.
    """
    for file in read_class_files(path, (".txt",), {"", *without}):
        if split_of(file.folder):
            continue
        yield Example(file.source, {"text": file.content, "label": file.label}, file.split, text.fault(file.content))


@dataclass(frozen=True)
class WavFolder:
    """Recordings in one folder per class: raw input `audio_bytes` (the file), label `label` (the folder's name).

    Args:
        path: Folder or archive (`pipeline.formats.download`), absolute or under the data folder.
        rate: Samples per second of every file.
        classes: Declared classes; a folder of another name is an error.
        without: Folders without a class whose files are skipped.
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
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "one folder of WAV files per class")]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the recordings, ordered by path, or in the order of the archive; skips files with other suffixes."""
        (path,) = self.files(data)
        for file in read_class_files(path, WAV_SUFFIXES, self.without):
            features = {"audio_bytes": file.content, "label": file.label}
            yield Example(file.source, features, file.split, audio.fault(file.content, self.rate))
