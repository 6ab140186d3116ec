"""IDX files: the format of MNIST and of the data sets made in its image.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, section "File formats".
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.datasets import image
from pipeline.datasets.example import Example
from pipeline.datasets.fetch import fetch
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

PARTS = {"train": "train", "t10k": "test"}
UINT8 = 0x08


@dataclass(frozen=True)
class IdxImages:
    """Four gzip-compressed IDX files in a folder; raw input `image_bytes` (PNG), label `label`.

    Args:
        folder: Folder under the data folder.
        sources: Addresses of public folders that hold the four files.
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
        """The four files, fetched where they are absent."""
        return [
            fetch(data / self.folder / name, tuple(source + name for source in self.sources), digest)
            for name, digest in self.sha256.items()
        ]

    def examples(self, data: Path) -> Iterator[Example]:
        """Train, then the official test set, in the order of the files."""
        by_name = {path.name: path for path in self.files(data)}
        for part, split in PARTS.items():
            pixels = read(by_name[f"{part}-images-idx3-ubyte.gz"])
            labels = read(by_name[f"{part}-labels-idx1-ubyte.gz"])
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
            # A number without a name stays a number: ingest refuses it as a label outside the declared classes.
            name = self.classes[number] if number < len(self.classes) else str(number)
            features = {"image_bytes": image.encode(image_pixels), "label": name.encode()}
            yield Example(f"{self.folder} {split} row {row}", features, split)


def read(path: Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes into an array of the shape in its header.

    Raises:
        PipelineError: The file is not complete, or not of this format.
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
            action=f"delete {path} and run again to fetch it, or put a sound copy there",
        ) from error
