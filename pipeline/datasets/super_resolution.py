"""Super-resolution: patches of 91 photographs (T91) to learn from, the pictures of Set5 and Set14 as the test.

Each row is a picture and the same one with three times its height and width. Both come from one photograph, which is
shrunk by bicubic interpolation with antialiasing, as MATLAB's `imresize` does it; this is the customary protocol.

Sources: T91: J. Yang et al., Image super-resolution via sparse representation, IEEE TIP 19(11), 2010. Set5:
M. Bevilacqua et al., Low-complexity single-image super-resolution, BMVC 2012. Set14: R. Zeyde et al., On single image
scale-up using sparse-representations, Curves and Surfaces 2010. Licence: none is stated; customary in research.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.features import image
from pipeline.formats.base import Example
from pipeline.formats.download import read_members
from pipeline.formats.folders import is_hidden, locate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image

TRAIN, TEST = "t91", ("set5", "set14")  # folders of the archive
SOURCE = "the pictures of T91, Set5 and Set14, customary in research,"
SHRUNK = (1.0, 0.9, 0.8, 0.7, 0.6)  # sizes in which the photographs are learned from


@dataclass(frozen=True)
class SuperResolution:
    """Raw input `image_bytes` (PNG), target `target_bytes` (PNG of `scale` times the size); extra: `picture`, its path.

    The test has whole pictures, of Set5 and Set14; training has patches, each picture also in smaller sizes.

    Args:
        path: Folder or archive with the folders t91, set5 and set14, absolute or under the data folder.
        scale: How many times height and width are larger.
        side: Height and width of a patch before that, in pixels.
    """

    path: str
    scale: int = 3
    side: int = 24
    label: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ("picture",)

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded picture."""
        return {"image_bytes": "bytes"}

    @property
    def targets(self) -> dict[str, str]:
        """The same picture, larger."""
        return {"target_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "folders t91, set5 and set14", SOURCE)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the patches and pictures in the order of the archive.

        Raises:
            PipelineError: The archive is damaged.
        """
        (path,) = self.files(data)
        for name, content in read_members(path, image.SUFFIXES):
            collection = next((part for part in PurePosixPath(name).parts if part in (TRAIN, *TEST)), "")
            if collection and not is_hidden(name):
                picture = f"{collection}/{PurePosixPath(name).name}"
                yield from self._rows(f"{path}: {name}", picture, content)

    def _rows(self, source: str, picture: str, content: bytes) -> Iterator[Example]:
        split = "train" if picture.startswith(TRAIN) else "test"
        if fault := image.fault(content, (1, 1, 3), resize=True):
            yield Example(source, {}, split, fault)
            return
        opened = image.open_image(content).convert("RGB")
        if min(opened.size) < self.scale * self.side:
            yield Example(source, {}, split, f"a picture of {opened.width}x{opened.height} pixels has no whole patch")
        elif split == "test":
            yield self._example(source, picture, self._pair(opened), split)
        else:
            for shrunk in SHRUNK:
                for place, pair in self._patches(self._pair(_resize(opened, shrunk))):
                    yield self._example(f"{source}, size {shrunk}, patch at {place}", picture, pair, split)

    def _pair(self, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
        """Returns a picture, shrunk and cut to a multiple of the scale."""
        width, height = (side // self.scale for side in picture.size)
        large = picture.crop((0, 0, self.scale * width, self.scale * height))
        return large.resize((width, height), _bicubic()), large

    def _patches(
        self, pair: tuple[Image.Image, Image.Image]
    ) -> Iterator[tuple[tuple[int, int], tuple[Image.Image, Image.Image]]]:
        """Yields patches next to each other, the last ones at the border, with the place of each."""
        small, large = pair
        for top in _steps(small.height, self.side):
            for left in _steps(small.width, self.side):
                box = (left, top, left + self.side, top + self.side)
                wide = (self.scale * left, self.scale * top, self.scale * box[2], self.scale * box[3])
                yield (top, left), (small.crop(box), large.crop(wide))

    def _example(self, source: str, picture: str, pair: tuple[Image.Image, Image.Image], split: str) -> Example:
        small, large = (image.encode_picture(each, compress_level=1) for each in pair)
        return Example(source, {"image_bytes": small, "target_bytes": large, "picture": picture.encode()}, split)


def _bicubic() -> Image.Resampling:
    from PIL import Image

    return Image.Resampling.BICUBIC


def _resize(picture: Image.Image, share: float) -> Image.Image:
    width, height = (round(side * share) for side in picture.size)
    return picture if share == 1 else picture.resize((width, height), _bicubic())


def _steps(length: int, side: int) -> list[int]:
    """Returns where patches of a side begin; none if there is no room for one."""
    return sorted({*range(0, length - side + 1, side), length - side}) if length >= side else []


SUPER_RESOLUTION = SuperResolution("super_resolution/t91_set5_set14.tar")
