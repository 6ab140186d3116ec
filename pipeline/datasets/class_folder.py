"""One folder of files per class, with or without a level such as `train` and `test` above: as folders or an archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.datasets.archive import members
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# Validation files are learnt from, too: eval is split off train by hash of the content.
SPLITS = {"train": "train", "val": "train", "valid": "train", "validation": "train", "test": "test"}


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


def located(data: Path, path: str, each: str) -> Path:
    """The folder or archive at a path, absolute or under the data folder.

    Args:
        data: The data folder.
        path: As the recipe has it.
        each: What lies in the folder of a class, for the message.

    Raises:
        PipelineError: There is nothing.
    """
    found = data / Path(path).expanduser()
    if not found.exists():
        raise PipelineError(
            f"There is no folder or archive {found}.",
            expected=f"a folder, .tar, .tar.gz, .tar.xz or .zip file with one folder of {each} per class",
            received="nothing at that path",
            action="correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
        )
    return found


def class_files(path: Path, suffixes: Collection[str], without: Collection[str] = ()) -> Iterator[ClassFile]:
    """The files with one of the endings, ordered by path, or as they lie in the archive.

    Hidden files, which file managers leave, are passed over.

    Args:
        path: Folder or archive.
        suffixes: Endings in lower case.
        without: Folders whose own files are passed over.

    Raises:
        PipelineError: The archive is damaged.
    """
    for name, content in members(path, suffixes):
        *above, folder, file = ("", *PurePosixPath(name).parts)
        if not file.startswith(".") and folder not in without:
            split = next((SPLITS[part] for part in above if part in SPLITS), "")
            source = str(path / name).encode(errors="backslashreplace").decode()  # surrogates cannot be printed
            yield ClassFile(source, content, folder, split)
