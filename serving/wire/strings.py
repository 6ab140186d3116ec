"""Many strings without an object for each of them.

TensorFlow takes strings from numpy one object at a time, and gives them back so, with Python's lock held: a million
hold all other requests for a tenth of a second, and for as long once more when they are let go. Here they are two
arrays, and a graph gets them as one `TensorProto`, which it reads by itself (`serving.core.session`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from serving.wire import dtypes
from serving.wire.proto_fields import delimited, varint

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 1 << 12  # strings that are made in one step, a tenth of a millisecond; fewer need not be packed
_PIECE = 1 << 16  # numbers that are written in one step, which holds the interpreter for a millisecond
_VARINT_BITS = 7
_TYPE, _CONTENT = b"\x08", b"\x22"  # tags of TensorProto's fields
_SHAPE, _DIM = 2, 2  # numbers of the fields of TensorProto, and of TensorShapeProto
_SIZE = b"\x08"  # tag of the field of its Dim


@dataclass(frozen=True, eq=False)
class Strings:
    """A tensor of strings.

    Attributes:
        shape: Of the tensor.
        offsets: (strings + 1,) int64, where each string begins and the last one ends, row-major.
        content: (bytes,) uint8, one string after the other.
    """

    shape: tuple[int, ...]
    offsets: np.ndarray
    content: np.ndarray
    dtype: ClassVar[np.dtype] = np.dtype(object)

    @classmethod
    def join(cls, array: np.ndarray) -> Strings:
        """Packs an array of objects of bytes."""
        flat = array.reshape(-1).tolist()
        sizes = np.fromiter(map(len, flat), np.int64, len(flat))
        return cls.from_sizes(array.shape, sizes, np.frombuffer(b"".join(flat), np.uint8))

    @classmethod
    def from_sizes(cls, shape: tuple[int, ...], sizes: np.ndarray, content: np.ndarray) -> Strings:
        """A tensor of strings of so many bytes each."""
        return cls(shape, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]), content)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of strings."""
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self.offsets.nbytes + self.offsets[-1] - self.offsets[0])

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Strings:
        """Some rows, one after the other."""
        start, stop, _ = rows.indices(len(self))
        row = math.prod(self.shape[1:])
        stop = max(start, stop)
        return Strings((stop - start, *self.shape[1:]), self.offsets[start * row : stop * row + 1], self.content)

    def pieces(self) -> Iterator[list[bytes]]:
        """The strings, so many at a time that making them does not hold the interpreter for long."""
        view = self.content.data
        for first in range(0, self.size, MANY):
            places = self.offsets[first : first + MANY + 1].tolist()
            yield [bytes(view[begin:end]) for begin, end in pairwise(places)]

    def array(self) -> np.ndarray:
        """The strings as objects of bytes, of the tensor's shape."""
        array = np.empty(self.size, object)
        for index, piece in enumerate(self.pieces()):
            array[index * MANY : (index + 1) * MANY] = piece
        return array.reshape(self.shape)

    def serialize(self) -> bytes:
        """A `tensorflow.TensorProto` with the strings as `tensor_content`: all their lengths, then all their bytes."""
        lengths = b"".join(_varints(np.diff(self.offsets)))
        content = self.content[self.offsets[0] : self.offsets[-1]]
        head = [self.head(), _CONTENT, varint(len(lengths) + len(content))]
        return b"".join([*head, lengths, np.ascontiguousarray(content).data])

    def head(self) -> bytes:
        """Type and shape of a `tensorflow.TensorProto`."""
        dims = b"".join(delimited(_DIM, _SIZE + varint(size)) for size in self.shape)
        return _TYPE + varint(dtypes.STRING.number) + delimited(_SHAPE, dims)


Tensor = np.ndarray | Strings


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor as an array."""
    return tensor.array() if isinstance(tensor, Strings) else tensor


def unpack_few(tensor: Tensor) -> Tensor:
    """A tensor, with few strings as an array: it can be run together with others."""
    return as_array(tensor) if tensor.size < MANY else tensor


def _varints(values: np.ndarray) -> Iterator[bytes]:
    """Numbers as protobuf writes them, 7 bits a byte, the lowest first; in steps that others may come between."""
    for first in range(0, len(values), _PIECE):
        yield _varint_piece(values[first : first + _PIECE])


def _varint_piece(values: np.ndarray) -> bytes:
    parts = np.arange(0, max(int(values.max()).bit_length(), 1), _VARINT_BITS)
    shifted = values[:, None] >> parts
    groups = (shifted & 0x7F).astype(np.uint8)
    groups |= (shifted >> _VARINT_BITS > 0).astype(np.uint8) << 7
    return groups[(shifted > 0) | (parts == 0)].tobytes()
