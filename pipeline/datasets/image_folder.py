"""A folder or archive with one folder of images per class, with or without a level of splits above the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.datasets import image
from pipeline.datasets.class_folder import class_files, located
from pipeline.datasets.example import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
        return [located(data, self.path, "images")]

    def examples(self, data: Path) -> Iterator[Example]:
        """The images, ordered by path, or as they lie in the archive; files with other endings are passed over."""
        (path,) = self.files(data)
        for file in class_files(path, image.SUFFIXES, self.without):
            features = {"image_bytes": file.content, "label": file.label}
            fault = image.fault(file.content, self.shape, resize=self.resize)
            yield Example(file.source, features, file.split, fault)
