"""A folder with one folder of images per class, with or without a level `train` and `test` above the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.datasets import image
from pipeline.datasets.example import Example
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".bmp"}
SPLITS = ("train", "test")


@dataclass(frozen=True)
class ImageFolder:
    """Raw input `image_bytes` (the file as it is), label `label` (the folder's name).

    Args:
        path: Folder, absolute or under the data folder.
        shape: Height, width, channels (1 grey, 3 RGB) that every image has.
        classes: Declared classes; a folder of another name is an error.
    """

    path: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """The folder.

        Raises:
            PipelineError: There is no such folder.
        """
        folder = data / Path(self.path).expanduser()
        if not folder.is_dir():
            raise PipelineError(
                f"There is no folder {folder}.",
                expected="a folder with one folder of images per class",
                received="a file" if folder.exists() else "nothing at that path",
                action="correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
            )
        return [folder]

    def examples(self, data: Path) -> Iterator[Example]:
        """The images, ordered by path; files with other endings are no images and are passed over."""
        (folder,) = self.files(data)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                yield self._example(path, path.relative_to(folder))

    def _example(self, path: Path, inside: Path) -> Example:
        split = inside.parts[0] if inside.parts[0] in SPLITS else ""
        content = path.read_bytes()
        features = {"image_bytes": content, "label": inside.parent.name.encode()}
        return Example(str(path), features, split, image.fault(content, self.shape))
