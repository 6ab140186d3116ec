"""NumPy's .npz archives: an array of inputs and an array of labels."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file
from pipeline.features import image
from pipeline.formats import table
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from pipeline.formats.base import Value

EXPECTED = "an .npz archive of plain arrays"
FAILURES = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)
IMAGE = ("image_bytes", "bytes")


@dataclass(frozen=True)
class Npz:
    """Rows of two arrays of the same length: vectors of numbers, or images.

    Vectors are the raw input `x`, of kind "float[n]" or, with more axes, "float[28,28]". Images are the raw input
    `image_bytes` (PNG), made of uint8 pixels (rows, height, width) or (rows, height, width, 3).

    Args:
        path: File, absolute or under the data folder.
        shape: Shape of one row: (6,) for vectors of six numbers; (28, 28) or (32, 32, 3) for images.
        classes: Declared classes, the k-th for label k (or labels are their names); empty if the label is a number.
        images: Whether the rows are images.
        x: Name of the array of inputs in the file.
        y: Name of the array of labels in the file.
        test: A second file, the official test set; then `path` has the training rows.
    """

    path: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    images: bool = False
    x: str = "X"
    y: str = "y"
    test: str = ""
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One vector, or one encoded image."""
        name, kind = IMAGE if self.images else ("x", f"float[{','.join(map(str, self.shape))}]")
        return {name: kind}

    def files(self, data: Path) -> list[Path]:
        """Returns the file, and the official test file if there is one.

        Raises:
            PipelineError: There is no such file.
        """
        return table.find_files(data, (self.path, self.test), EXPECTED)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the rows in the order of the arrays; only one row is in memory at a time.

        Raises:
            PipelineError: An array is missing, has another shape, needs pickle, or the file is damaged.
        """
        for path, split in table.assign_splits(self.files(data), self.test):
            self._check(path)
            pairs = zip(read_rows(path, self.x), read_rows(path, self.y), strict=True)
            for number, (inputs, label) in enumerate(pairs):
                yield self._example(f"{path} row {number}", inputs, label, split)

    def _check(self, path: Path) -> None:
        (x_shape, kind), (y_shape, _) = read_header(path, self.x), read_header(path, self.y)
        expected = f"{self.x} (rows, {', '.join(map(str, self.shape))}) and {self.y} (rows)"
        sound = x_shape[1:] == self.shape and math.prod(y_shape) == x_shape[0] and len(y_shape) in (1, 2)
        if not sound or (self.images and kind != "uint8"):
            raise PipelineError(
                f"The arrays of {path} do not fit.",
                expected=expected + (" of uint8 pixels" if self.images else ""),
                received=f"{self.x} {x_shape} of {kind} and {self.y} {y_shape}",
                action="correct shape, x, y or images in the recipe",
            )

    def _example(self, source: str, inputs: np.ndarray, label: np.ndarray, split: str) -> Example:
        try:
            ((name, kind),) = self.inputs.items()
            features: dict[str, Value] = {
                name: image.encode_png(inputs) if self.images else table.to_value(inputs, kind),
                self.label: self._label(label),
            }
        except table.FAILURES as error:
            return table.faulty_example(source, split, f"not usable: {error}")
        return Example(source, features, split)

    def _label(self, label: np.ndarray) -> Value:
        value: Any = label.item()
        return table.encode_class(value, self.classes) if self.classes else table.to_value(value, "float")


def read_header(path: Path, name: str) -> tuple[tuple[int, ...], str]:
    """Returns shape and dtype of an array.

    Raises:
        PipelineError: There is no such array, or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            shape, _, dtype = _parse_header(file)
            return shape, dtype.name
    except FAILURES as error:
        raise unreadable_file(path, EXPECTED, error) from error


def read_rows(path: Path, name: str) -> Iterator[np.ndarray]:
    """Yields the rows of an array one by one, while decompressing.

    Raises:
        PipelineError: The array needs pickle, or the file is damaged.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            shape, by_columns, dtype = _parse_header(file)
            if by_columns and len(shape) > 1:  # a row is scattered over the whole file
                yield from np.load(path, allow_pickle=False)[name]
                return
            size = math.prod(shape[1:]) * dtype.itemsize
            for _ in range(shape[0]):
                yield np.frombuffer(_read_exactly(file, size), dtype).reshape(shape[1:])
    except FAILURES as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _parse_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which needs pickle; a data file must not run code")
    return shape, by_columns, dtype


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError("the array is incomplete")
    return content
