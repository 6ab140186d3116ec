"""TensorProto to numpy and back, by TensorFlow's rules, without TensorFlow.

Packed float, double and bool values are the array's own little-endian bytes, so answers are written as such and not
value by value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import InvalidArgument
from serving.wire import dtypes
from serving.wire.deadline import check_deadline
from serving.wire.proto_fields import read_varint, varint
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.wire.dtypes import Dtype
    from serving.wire.strings import Tensor

MAX_RANK = 64  # numpy's limit; TensorFlow's own is 254
_MAX_FILL = 1 << 26  # bytes that a few values may be spread to: a request of 30 bytes could else ask for all memory
_PIECE = 1 << 14  # values that are written in one step, which holds the interpreter for a millisecond
_FIELDS = {
    "float": "float_val",
    "double": "double_val",
    "int32": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint16": "int_val",
    "string": "string_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "bfloat16": "half_val",
    "half": "half_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
# Field number << 3 | 2 (length-delimited) of the fields whose packed form is the buffer itself.
_PACKED = {"float": b"\x2a", "double": b"\x32", "bool": b"\x5a"}


def decode(proto: Any, name: str) -> np.ndarray:
    """The array of a TensorProto.

    Args:
        proto: A `tensorflow.TensorProto`, with `tensor_content` or typed values. Too few values repeat the
            last one, none are zeros, too many are cut; the narrow integers wrap around. What is filled up so
            may have 64 MiB at most.
        name: What the error calls it.

    Raises:
        InvalidArgument: `tensor parsing error: NAME`.
    """
    dtype = dtypes.from_number(proto.dtype)
    try:
        shape = _shape(proto)
        flat = (
            _decode_content(proto, dtype, shape)
            if proto.tensor_content
            else _decode_values(proto, dtype, math.prod(shape))
        )
        return flat.reshape(shape)
    except (ValueError, OverflowError, IndexError, MemoryError) as error:
        raise InvalidArgument(f"tensor parsing error: {name}") from error


def _shape(proto: Any) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if dtypes.from_number(proto.dtype).numpy is None:
        raise ValueError(proto.dtype)
    if min(shape, default=0) < 0 or proto.tensor_shape.unknown_rank or len(shape) > MAX_RANK:
        raise ValueError(shape)
    return shape


def _decode_content(proto: Any, dtype: Dtype, shape: tuple[int, ...]) -> np.ndarray:
    if dtype is dtypes.STRING:
        return _objects(_split_strings(proto.tensor_content, math.prod(shape)))
    assert dtype.numpy is not None
    if len(proto.tensor_content) != math.prod(shape) * dtype.numpy.itemsize:
        raise ValueError(len(proto.tensor_content))
    return np.frombuffer(proto.tensor_content, dtype=dtype.numpy)


def _split_strings(content: bytes, count: int) -> list[bytes]:
    """Strings as tensor_content holds them: all lengths as varints, then all bytes."""
    lengths, at = [], 0
    if count > len(content):
        raise ValueError(count)
    for _ in range(count):
        length, at = read_varint(content, at)
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise ValueError(lengths)
    ends = [at + int(end) for end in np.cumsum(lengths)]
    return [content[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _decode_values(proto: Any, dtype: Dtype, count: int) -> np.ndarray:
    values = _typed_values(getattr(proto, _FIELDS[dtype.name]), dtype)[:count]
    if len(values) == count:
        return values
    assert dtype.numpy is not None
    if count * dtype.numpy.itemsize > _MAX_FILL:
        raise ValueError(count)
    if not len(values):
        return _objects([b""] * count) if dtype is dtypes.STRING else np.zeros(count, dtype=dtype.numpy)
    return np.concatenate([values, np.repeat(values[-1:], count - len(values))])


def _typed_values(field: Iterable[Any], dtype: Dtype) -> np.ndarray:
    if dtype is dtypes.STRING:
        return _objects(list(field))
    values = list(field)
    assert dtype.numpy is not None
    if dtype.name in {"half", "bfloat16"}:  # the bits, in the low half of an int32
        return np.array(values, dtype=np.int64).astype(np.uint16).view(dtype.numpy)
    if dtype.name in {"complex64", "complex128"}:  # real and imaginary parts in turn
        part = np.float32 if dtype.name == "complex64" else np.float64
        return np.array(values[: len(values) // 2 * 2], dtype=part).view(dtype.numpy)
    if _FIELDS[dtype.name] == "int_val":
        return np.array(values, dtype=np.int64).astype(dtype.numpy)
    return np.array(values, dtype=dtype.numpy)


def _objects(values: list[bytes]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def encode(array: Tensor, proto: Any, *, as_content: bool = False) -> None:
    """Write a tensor into a TensorProto.

    Args:
        array: Any shape; strings as `Strings`, objects of bytes or str, or numpy's own text types.
        proto: The empty `tensorflow.TensorProto` to fill.
        as_content: Write numbers as `tensor_content` and not into their typed field.

    Raises:
        InvalidArgument: numpy type that no tensor has.
    """
    dtype = dtypes.from_array(array)
    if dtype is dtypes.INVALID:
        raise InvalidArgument(f"No tensor type for numpy arrays of this kind. Received: {array.dtype}")
    proto.dtype = dtype.number
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    if not array.shape:
        proto.tensor_shape.SetInParent()
    if isinstance(array, Strings):
        for piece in array.pieces():
            proto.string_val.extend(piece)
    elif as_content and dtype is not dtypes.STRING:
        proto.tensor_content = np.ascontiguousarray(array).tobytes()
    elif dtype.name in _PACKED:
        _merge_packed(array, _PACKED[dtype.name], proto)
    else:
        values, flat = getattr(proto, _FIELDS[dtype.name]), array.reshape(-1)
        for start in range(0, flat.size, _PIECE):
            check_deadline()
            values.extend(_to_field_values(flat[start : start + _PIECE], dtype))


def serialize(strings: Strings, proto: Any) -> bytes:
    """The bytes of a TensorProto with many strings, in steps that others may come between.

    Args:
        strings: What it holds.
        proto: An empty `tensorflow.TensorProto` to write the steps with.
    """
    parts = [strings.head()]
    for piece in strings.pieces():  # a message's parts one after the other are the message
        check_deadline()
        proto.string_val[:] = piece
        parts.append(proto.SerializeToString())
    return b"".join(parts)


def _merge_packed(array: np.ndarray, tag: bytes, proto: Any) -> None:
    if array.size:
        buffer = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        proto.MergeFromString(tag + varint(len(buffer)) + buffer)


def _to_field_values(flat: np.ndarray, dtype: Dtype) -> list[Any]:
    if dtype is dtypes.STRING:
        return [item.encode() if isinstance(item, str) else bytes(item) for item in flat.tolist()]
    if dtype.name in {"half", "bfloat16"}:
        return flat.view(np.uint16).tolist()
    if dtype.name in {"complex64", "complex128"}:
        part = np.float32 if dtype.name == "complex64" else np.float64
        return np.ascontiguousarray(flat).view(part).tolist()
    return flat.tolist()
