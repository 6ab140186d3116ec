"""CIFAR-10: 50,000 and 10,000 photographs of 32x32 pixels, ten classes of objects and animals.

Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009, section 3
(https://www.cs.toronto.edu/~kriz/cifar.html). Licence: none is stated; its author asks to be cited.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.features import image
from pipeline.formats.base import Example
from pipeline.formats.download import fetch, file_digest, read_members
from pipeline.formats.folders import read_class_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"  # of the file, as in TensorFlow Datasets
BINARY = "cifar-10-binary.tar.gz"
JPEG = "cifar10_jpeg.tar.gz"
PIXELS = 32 * 32 * 3


@dataclass(frozen=True)
class Cifar10:
    """Raw input `image_bytes` (JPEG or PNG, 32x32, RGB), label `label`; the official train and test split.

    Reads `cifar10/cifar-10-binary.tar.gz`, the author's file (images become PNG), or else
    `cifar10/cifar10_jpeg.tar.gz`, with members `train/CLASS/NAME.jpg` and `test/CLASS/NAME.jpg`.

    Args:
        train_per_class: Number of training images of each class, the first of the file; 0 for all.
        test_per_class: The same for test images.
    """

    train_per_class: int = 0
    test_per_class: int = 0
    label: str = "label"
    shape: tuple[int, int, int] = (32, 32, 3)
    classes: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the archive; downloads the author's if both are missing."""
        folder = data / "cifar10"
        if (folder / JPEG).exists() and not (folder / BINARY).exists():
            return [folder / JPEG]
        return [fetch(folder / BINARY, (SOURCE,), SHA256, file_digest)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the images in the order of the archive, up to `train_per_class` and `test_per_class` of each class."""
        (path,) = self.files(data)
        limits = {"train": self.train_per_class, "test": self.test_per_class}
        counts: Counter[tuple[str, str]] = Counter()
        for source, split, label, content in (self._binary if path.name == BINARY else self._jpeg)(path):
            counts[split, label] += 1
            if not limits.get(split) or counts[split, label] <= limits[split]:
                features = {"image_bytes": content, "label": label.encode(errors="surrogateescape")}
                yield Example(source, features, split, image.fault(content, self.shape))

    def _jpeg(self, path: Path) -> Iterator[tuple[str, str, str, bytes]]:
        for file in read_class_files(path, (".jpg",)):
            yield file.source, file.split, file.folder, file.content

    def _binary(self, path: Path) -> Iterator[tuple[str, str, str, bytes]]:
        for name, content in read_members(
            path, ("_batch.bin", *(f"data_batch_{number}.bin" for number in range(1, 6)))
        ):
            split = "test" if name.endswith("test_batch.bin") else "train"
            for row, record in enumerate(self._records(path, name, content)):
                pixels = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
                yield f"{path}/{name} row {row}", split, self.classes[record[0]], image.encode_png(pixels)

    def _records(self, path: Path, name: str, content: bytes) -> np.ndarray:
        import numpy as np

        table = np.frombuffer(content, np.uint8)
        if len(content) % (1 + PIXELS) or (table[:: 1 + PIXELS] >= len(self.classes)).any():
            raise PipelineError(
                f"{name} in {path} is not in the binary format of CIFAR-10.",
                expected=f"records of a class number from 0 to 9 and {PIXELS} bytes of pixels",
                received=f"{len(content)} bytes",
                action=f"replace {path} by {SOURCE}",
            )
        return table.reshape(-1, 1 + PIXELS)


CIFAR10 = Cifar10()
