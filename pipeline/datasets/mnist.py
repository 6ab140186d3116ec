"""MNIST and Fashion-MNIST: 60,000 and 10,000 grey images of 28x28 pixels each, in IDX files.

Sources: MNIST, handwritten digits: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to
document recognition, Proceedings of the IEEE 86(11), 1998, section III.A; licence CC BY-SA 3.0. Fashion-MNIST,
articles of clothing in ten balanced classes: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a novel image dataset for
benchmarking machine learning algorithms, arXiv:1708.07747, section 2; licence MIT. IDX: Y. LeCun, C. Cortes, C.
Burges, The MNIST database of handwritten digits, section "File formats".
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.features import image
from pipeline.formats.base import Example
from pipeline.formats.download import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np


SPLIT_BY_PREFIX = {"train": "train", "t10k": "test"}
UINT8 = 0x08


@dataclass(frozen=True)
class IdxImages:
    """Four gzip-compressed IDX files in a folder; raw input `image_bytes` (PNG), label `label`.

    Args:
        folder: Folder under the data folder.
        sources: URLs of public folders with the four files.
        sha256: Digest of each file's uncompressed content, by file name.
        classes: Class names, in the order of the label numbers.
        shape: Height, width, channels.
    """

    folder: str
    sources: tuple[str, ...]
    sha256: dict[str, str]
    classes: tuple[str, ...]
    shape: tuple[int, int, int] = (28, 28, 1)
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the four files; downloads missing ones."""
        return [
            fetch(data / self.folder / name, tuple(source + name for source in self.sources), digest)
            for name, digest in self.sha256.items()
        ]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields train, then the official test set, in the order of the files."""
        by_name = {path.name: path for path in self.files(data)}
        for part, split in SPLIT_BY_PREFIX.items():
            pixels = read_idx(by_name[f"{part}-images-idx3-ubyte.gz"])
            labels = read_idx(by_name[f"{part}-labels-idx1-ubyte.gz"])
            yield from self._examples(pixels, labels, split)

    def _examples(self, pixels: np.ndarray, labels: np.ndarray, split: str) -> Iterator[Example]:
        if len(pixels) != len(labels):
            raise PipelineError(
                f"Images and labels of the {split} part of {self.folder} do not belong together.",
                expected=f"{len(pixels)} labels",
                received=f"{len(labels)}",
                action="replace both files from the same source",
            )
        for row, (image_pixels, number) in enumerate(zip(pixels, labels, strict=True)):
            # An unknown number stays a number, which ingest rejects as a label outside the declared classes.
            name = self.classes[number] if number < len(self.classes) else str(number)
            features = {"image_bytes": image.encode_png(image_pixels), "label": name.encode()}
            yield Example(f"{self.folder} {split} row {row}", features, split)


MNIST = IdxImages(
    folder="mnist",
    sources=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    classes=tuple("0123456789"),
)
FASHION_MNIST = IdxImages(
    folder="fashion-mnist",
    sources=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    sha256={
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes into an array of the shape in its header.

    Raises:
        PipelineError: The file is incomplete, or not in this format.
    """
    import numpy as np

    try:
        with gzip.open(path) as file:
            content = file.read()
        zeros, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        if zeros or kind != UINT8:
            raise ValueError(f"magic number {content[:4].hex()}")  # noqa: TRY301  (one message for all)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise PipelineError(
            f"{path} is not a readable IDX file.",
            expected="a complete gzip file of unsigned bytes in IDX format",
            received=str(error),
            action=f"delete {path} and run again to download it, or replace it with an intact copy",
        ) from error
