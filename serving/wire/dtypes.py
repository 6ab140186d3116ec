"""TensorFlow's tensor types: number on the wire, name in messages, numpy type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class Dtype:
    """One tensor type (tensorflow/core/framework/types.proto).

    Attributes:
        number: Value of the `DataType` enum.
        name: What messages call it, such as `float` or `half`.
        numpy: The array type; None where numpy has none.
    """

    number: int
    name: str
    numpy: np.dtype | None


_TABLE: tuple[tuple[int, str, Any], ...] = (
    (0, "invalid", None),
    (1, "float", np.float32),
    (2, "double", np.float64),
    (3, "int32", np.int32),
    (4, "uint8", np.uint8),
    (5, "int16", np.int16),
    (6, "int8", np.int8),
    (7, "string", np.object_),
    (8, "complex64", np.complex64),
    (9, "int64", np.int64),
    (10, "bool", np.bool_),
    (11, "qint8", None),
    (12, "quint8", None),
    (13, "qint32", None),
    (14, "bfloat16", ml_dtypes.bfloat16),
    (15, "qint16", None),
    (16, "quint16", None),
    (17, "uint16", np.uint16),
    (18, "complex128", np.complex128),
    (19, "half", np.float16),
    (20, "resource", None),
    (21, "variant", None),
    (22, "uint32", np.uint32),
    (23, "uint64", np.uint64),
)
_BY_NUMBER = {number: Dtype(number, name, None if kind is None else np.dtype(kind)) for number, name, kind in _TABLE}
_BY_NUMPY = {dtype.numpy: dtype for dtype in _BY_NUMBER.values() if dtype.numpy is not None}
INVALID = _BY_NUMBER[0]
FLOAT = _BY_NUMBER[1]
STRING = _BY_NUMBER[7]


def from_number(number: int) -> Dtype:
    """The type of a `DataType` value; `invalid` for one that is not known."""
    return _BY_NUMBER.get(number, INVALID)


def from_array(array: Any) -> Dtype:
    """The type of an array or `Strings`; every kind of text or bytes is a string."""
    return STRING if array.dtype.kind in "SUO" else _BY_NUMPY.get(array.dtype, INVALID)
