"""JSON values to tensors, element by element, with the error texts of TensorFlow Serving's REST API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pybase64

from serving.errors import InvalidArgument, ServingError, Unimplemented
from serving.wire.json_writer import debug_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.wire.dtypes import Dtype

MAX_RANK = 64  # numpy's limit
_SPACE = re.compile(r"[\s=]+")
_INT32 = (-(2**31), 2**31)
_RANGES = {
    "int8": _INT32,  # the narrow types take what int32 takes and wrap around
    "uint8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "int64": (-(2**63), 2**63),
    "uint32": (0, 2**32),
    "uint64": (0, 2**64),
}
_WIDE = {"bool": np.dtype(np.bool_), "uint64": np.dtype(np.uint64), "uint32": np.dtype(np.uint64)}
Shape = tuple[int, ...]


def is_named_inputs(value: Any) -> bool:
    """Whether a value is an object of named inputs, and not one base64 value."""
    return isinstance(value, dict) and not is_base64(value)


def is_base64(value: Any) -> bool:
    """Whether a value is exactly `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def read_bytes(value: Any) -> bytes:
    """The bytes of a string or a base64 object."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise InvalidArgument(f"JSON Value: {debug_text(value)} not formatted correctly for base64 data")
    try:
        return pybase64.b64decode(value["b64"], validate=True)
    except ValueError:
        return _decode_loosely(value["b64"])


def _decode_loosely(encoded: str) -> bytes:
    """White space is skipped and padding may be missing, which costs more to read."""
    plain = _SPACE.sub("", encoded)
    try:
        return pybase64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise InvalidArgument("Unable to base64 decode") from error


def read_tensor(value: Any, dtype: Dtype) -> np.ndarray:
    """One value as a tensor whose shape its first elements give.

    Raises:
        InvalidArgument: Uneven lists, or an element of another type.
        Unimplemented: A type that JSON cannot carry.
    """
    shape, leaves = _leaves(value, dtype)
    return _to_array(leaves, dtype).reshape(shape)


def read_rows(instances: list[Any], inputs: Mapping[str, Dtype]) -> dict[str, np.ndarray]:
    """The tensors of a list of rows, all of one shape, with a batch dimension in front.

    Raises:
        InvalidArgument: Always of this kind, with the row and the input that is wrong.
    """
    named = is_named_inputs(instances[0])
    collector = _RowCollector(inputs)
    for index, row in enumerate(instances):
        if is_named_inputs(row) != named:
            expected = "object but got list" if named else "value/list but got object"
            raise InvalidArgument(f"Expecting {expected} at item {index} of input list")
        for name, value in row.items() if named else [(next(iter(inputs)), row)]:
            collector.add(value, name, f"{index} key: {name}" if named else f"{index}")
        if named and row.keys() != inputs.keys():
            raise InvalidArgument(
                f"Failed to process element: {index} of 'instances' list. JSON object: {debug_text(row)} "
                f"keys must be equal to: {','.join(sorted(inputs))}"
            )
    return collector.tensors(len(instances))


class _RowCollector:
    """The elements of each input so far, and the shape that its first row set for all."""

    def __init__(self, inputs: Mapping[str, Dtype]) -> None:
        self._inputs = inputs
        self._elements: dict[str, list[Any]] = {name: [] for name in inputs}
        self._shapes: dict[str, Shape] = {}

    def add(self, value: Any, name: str, where: str) -> None:
        try:
            if name not in self._inputs:
                raise InvalidArgument(f"JSON object: does not have named input: {name}")
            shape, leaves = _leaves(value, self._inputs[name])
            _check_shape(self._shapes.setdefault(name, shape), shape)
        except ServingError as error:
            raise InvalidArgument(
                f"Failed to process element: {where} of 'instances' list. Error: {error.text}"
            ) from error
        self._elements[name].extend(leaves)

    def tensors(self, count: int) -> dict[str, np.ndarray]:
        return {
            name: _to_array(self._elements[name], dtype).reshape((count, *self._shapes[name]))
            for name, dtype in self._inputs.items()
        }


def _check_shape(expected: Shape, shape: Shape) -> None:
    if shape == expected:
        return
    size, wanted = int(np.prod(shape, dtype=np.int64)), int(np.prod(expected, dtype=np.int64))
    if size != wanted:
        raise InvalidArgument(f"Expecting tensor size: {wanted} but got: {size}")
    raise InvalidArgument(f"Expecting shape {_brackets(expected)} but got: {_brackets(shape)}")


def _brackets(shape: Shape) -> str:
    return f"[{','.join(map(str, shape))}]"


def _leaves(value: Any, dtype: Dtype) -> tuple[Shape, list[Any]]:
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    if len(shape) > MAX_RANK:
        raise InvalidArgument(f"Tensors of more than {MAX_RANK} dimensions are not supported. Received: {len(shape)}")
    leaves: list[Any] = []
    _fill(value, 0, tuple(shape), _element_reader(dtype), leaves)
    return tuple(shape), leaves


def _fill(value: Any, level: int, shape: Shape, read: Callable[[Any], Any], leaves: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise InvalidArgument(
                f"JSON Value: {debug_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        leaves.append(read(value))
        return
    if level >= rank:
        raise InvalidArgument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise InvalidArgument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, read, leaves)


def _element_reader(dtype: Dtype) -> Callable[[Any], Any]:
    """How one element of a type is read."""

    def read(value: Any) -> Any:
        if not _is_supported(dtype):
            raise Unimplemented(f"Conversion of JSON Value: {debug_text(value)} to type: {dtype.name}")
        if dtype.name == "string" and isinstance(value, (str, dict)):
            return read_bytes(value)
        if not _fits(value, dtype):
            raise InvalidArgument(
                f"JSON Value: {debug_text(value)} Type: {json_kind(value)} is not of expected type: {dtype.name}"
            )
        return value

    return read


def _is_supported(dtype: Dtype) -> bool:
    return dtype.name in _RANGES or dtype.name in {"float", "double", "bool", "string"}


def _fits(value: Any, dtype: Dtype) -> bool:
    if dtype.name == "bool" or isinstance(value, bool):
        return dtype.name == "bool" and isinstance(value, bool)
    if dtype.name in _RANGES:
        low, high = _RANGES[dtype.name]
        return isinstance(value, int) and low <= value < high
    return dtype.name in {"float", "double"} and isinstance(value, (int, float))


def json_kind(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _to_array(leaves: list[Any], dtype: Dtype) -> np.ndarray:
    if dtype.name == "string":
        array = np.empty(len(leaves), dtype=object)
        array[:] = leaves
        return array
    wide = _WIDE.get(dtype.name, np.dtype(np.int64 if dtype.name in _RANGES else np.float64))
    with np.errstate(over="ignore", under="ignore"):
        return np.array(leaves, dtype=wide).astype(dtype.numpy, copy=False)
