"""A folder or archive with one folder of `.txt` files per class, with or without a level of splits above them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.datasets import text
from pipeline.datasets.class_folder import SPLITS, class_files, located
from pipeline.datasets.example import Example

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


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
        return [located(data, self.path, ".txt files")]

    def examples(self, data: Path) -> Iterator[Example]:
        """The texts, ordered by path, or as they lie in the archive."""
        (path,) = self.files(data)
        return texts(path, self.without)


def texts(path: Path, without: Collection[str] = ()) -> Iterator[Example]:
    """One example for every `.txt` file in a class's folder; a file beside such folders, a README, is none.

    Args:
        path: Folder or archive.
        without: Folders that are passed over.

    Raises:
        PipelineError: The archive is damaged.
    """
    for file in class_files(path, (".txt",), {"", *SPLITS, *without}):
        yield Example(file.source, {"text": file.content, "label": file.label}, file.split, text.fault(file.content))
