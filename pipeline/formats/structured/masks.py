"""Pictures with a mask each, in two folders or one archive: the files of a pair have the same name up to the ending."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.features import drawing, image
from pipeline.formats.base import Example
from pipeline.formats.download import list_members, read_members
from pipeline.formats.folders import find_split, is_hidden, locate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MASK_SUFFIXES = (".png", ".bmp", ".gif")  # what loses no pixel


@dataclass(frozen=True)
class ImageMasks:
    """Raw input `image_bytes` (the file), target `mask_bytes` (a picture of its size; what is not 0 belongs to it).

    Args:
        path: Folder, or `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file; absolute or under the data folder.
        images: Name of the folder of the pictures, anywhere below; one called like a split above it (`train/images`,
            `test/images`) is the official split.
        masks: Name of the folder of the masks.
        suffix: What the name of a mask has more than that of its picture, before the ending: `_mask`.
        shape: Height, width and channels to which the recipe decodes the pictures.
        source: Where a public data set comes from, for who lacks it.
    """

    path: str
    images: str = "images"
    masks: str = "masks"
    suffix: str = ""
    shape: tuple[int, int, int] = (256, 256, 3)
    source: str = ""
    label: str = ""
    classes: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    @property
    def targets(self) -> dict[str, str]:
        """One encoded mask."""
        return {"mask_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "a folder of pictures and one of their masks", self.source)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the pairs, ordered by path, or in the order in which an archive completes them; then what is none.

        Raises:
            PipelineError: The archive is damaged.
        """
        (path,) = self.files(data)
        waiting: dict[tuple[str, str, str], tuple[str, bytes]] = {}
        counts = Counter(self._place(name) for name in list_members(path) if name.lower().endswith(image.SUFFIXES))
        for name, content in read_members(path, image.SUFFIXES):
            place = self._place(name)
            if place is None:
                continue
            folder, split, stem = place
            if any(counts[each, split, stem] > 1 for each in (self.images, self.masks)):
                yield Example(f"{path / name}", {}, split, "more than one picture or mask has this name")
                continue
            other = waiting.pop((self.masks if folder == self.images else self.images, split, stem), None)
            if other is None:
                waiting[folder, split, stem] = name, content
            elif folder == self.images:
                yield self._pair(path, (name, content), other, split)
            else:
                yield self._pair(path, other, (name, content), split)
        for (folder, split, _), (name, _) in waiting.items():
            absent = "mask" if folder == self.images else "picture"
            yield Example(f"{path / name}", {}, split, f"it has no {absent} of the same name")

    def _place(self, name: str) -> tuple[str, str, str] | None:
        """Returns the folder (of pictures or of masks), the split and the name of a pair; None for another file."""
        parts = PurePosixPath(name).parts
        folder = next((part for part in reversed(parts[:-1]) if part in (self.images, self.masks)), "")
        if not folder or is_hidden(name) or (folder == self.masks and not name.lower().endswith(MASK_SUFFIXES)):
            return None
        stem = PurePosixPath(parts[-1]).stem
        stem = stem.removesuffix(self.suffix) if folder == self.masks else stem
        inner = "/".join(part for part in parts[:-1] if part != folder)
        return folder, find_split(parts), f"{inner}/{stem}"

    def _pair(self, path: Path, picture: tuple[str, bytes], mask: tuple[str, bytes], split: str) -> Example:
        fault = image.fault(picture[1], self.shape, resize=True) or mask_fault(picture[1], mask[1])
        features = {"image_bytes": picture[1], "mask_bytes": mask[1] if fault else without_transparency(mask[1])}
        return Example(f"{path / picture[0]}", features, split, fault)


def without_transparency(mask: bytes) -> bytes:
    """Returns a mask as it is; one with an alpha channel, which a decoder takes for a colour, as black and white."""
    from PIL import Image

    with Image.open(io.BytesIO(mask)) as opened:
        if not opened.has_transparency_data:
            return mask
    return image.encode_png(drawing.read_mask(mask).astype("uint8") * 255)


def mask_fault(picture: bytes, mask: bytes) -> str:
    """Returns why a mask does not belong to a picture; empty if it does."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(mask)) as opened:
            opened.load()
            size = opened.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"its mask is not a readable image: {error}"
    expected = image.upright_size(picture)
    return (
        "" if size == expected else f"its mask has {size[0]}x{size[1]} pixels, the picture {expected[0]}x{expected[1]}"
    )
