"""JSON values to tensors: the `instances` and `inputs` of a REST predict request.

Three ways, the fastest first that can read the body: rows of numbers for one input go straight into an array
(`read_number_rows`, by simdjson, without a Python object for each number); values that nest evenly become arrays level
by level; all else `json_elements` walks element by element in TensorFlow Serving's order, and words the error.
"""

from __future__ import annotations

import binascii
import itertools
import math
import re
import threading
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import simdjson

from serving.errors import InvalidArgument
from serving.wire import json_elements
from serving.wire.json_writer import debug_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.wire.dtypes import Dtype


_INTS = {"int8": 32, "uint8": 32, "int16": 32, "int32": 32, "int64": 64, "uint32": -32, "uint64": -64}
_FLOATS = {"float": "f", "double": "d"}
_HEAD = re.compile(rb'\s*\{\s*(?:"signature_name"\s*:\s*"(\w*)"\s*,\s*)?"instances"\s*:\s*\[[\[\s]*[-\d]')
_BRACKET = ord("[")
_FEW = 1 << 12  # bytes of a body below which objects for its numbers cost less
_KEPT = 1 << 19  # bytes of a body up to which a thread keeps the parser's memory, ten times as many


def read_inputs(document: dict[str, Any], inputs: Mapping[str, Dtype]) -> tuple[dict[str, np.ndarray], bool]:
    """The input tensors of a predict request.

    Args:
        document: The parsed body.
        inputs: The signature's inputs by name.

    Returns:
        Tensors by name, and whether the answer is to be in rows.

    Raises:
        InvalidArgument: The body does not fit the signature.
        Unimplemented: A type that JSON cannot carry.
    """
    by_row, by_column = "instances" in document, "inputs" in document
    if by_row and by_column:
        raise _body_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if by_row:
        return read_rows(document, inputs), True
    if by_column:
        return read_columns(document["inputs"], inputs), False
    raise _body_error(document, "Missing 'inputs' or 'instances' key")


def _body_error(document: Any, text: str) -> InvalidArgument:
    return InvalidArgument(f"JSON Value: {debug_text(document)} {text}")


def read_rows(document: dict[str, Any], inputs: Mapping[str, Dtype]) -> dict[str, np.ndarray]:
    """Row format: a list with one value, or one object of named values, per row."""
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _body_error(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _body_error(document, "No values in 'instances' array")
    if json_elements.is_named_inputs(instances[0]):
        return _read_named_rows(instances, inputs)
    if len(inputs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    [(name, dtype)] = inputs.items()
    array = read_regular(instances, dtype)
    return {name: array} if array is not None else json_elements.read_rows(instances, inputs)


def _read_named_rows(instances: list[Any], inputs: Mapping[str, Dtype]) -> dict[str, np.ndarray]:
    if not all(isinstance(row, dict) and row.keys() == inputs.keys() for row in instances):
        return json_elements.read_rows(instances, inputs)
    arrays = {name: read_regular([row[name] for row in instances], dtype) for name, dtype in inputs.items()}
    regular_arrays = {name: array for name, array in arrays.items() if array is not None}
    return regular_arrays if len(regular_arrays) == len(arrays) else json_elements.read_rows(instances, inputs)


def read_columns(value: Any, inputs: Mapping[str, Dtype]) -> dict[str, np.ndarray]:
    """Columnar format: the whole tensor of the one input, or an object of tensors by name."""
    if not json_elements.is_named_inputs(value):
        if len(inputs) > 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        [(name, dtype)] = inputs.items()
        return {name: read_tensor(value, dtype)}
    tensors = {}
    for name, dtype in inputs.items():
        if name not in value:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = read_tensor(value[name], dtype)
    return tensors


def read_tensor(value: Any, dtype: Dtype) -> np.ndarray:
    """One JSON value as a tensor of any rank."""
    array = read_regular(value, dtype) if isinstance(value, list) else None
    return array if array is not None else json_elements.read_tensor(value, dtype)


def read_regular(value: list[Any], dtype: Dtype) -> np.ndarray | None:
    """An array from lists that nest evenly and hold what the type takes; None when they do not."""
    shape, level = [len(value)], value
    while (kinds := set(map(type, level))) == {list}:
        if len(set(map(len, level))) != 1:
            return None
        shape.append(len(level[0]))
        level = list(itertools.chain.from_iterable(level))
    flat = _flat_array(level, kinds, dtype) if len(shape) <= json_elements.MAX_RANK else None
    return None if flat is None else flat.reshape(shape)


def _flat_array(leaves: list[Any], kinds: set[type], dtype: Dtype) -> np.ndarray | None:
    if dtype.name in _FLOATS and kinds <= {int, float}:
        return np.array(array(_FLOATS[dtype.name], leaves))  # rounds as numpy does, without warnings to switch off
    if dtype.name in _INTS and kinds <= {int}:
        return _integer_array(leaves, _INTS[dtype.name], dtype)
    if dtype.name == "bool" and kinds <= {bool}:
        return np.array(leaves, dtype=np.bool_)
    if dtype.name == "string" and kinds <= {str, dict}:
        return _string_array(leaves)
    return None


def _integer_array(leaves: list[int], bits: int, dtype: Dtype) -> np.ndarray | None:
    low, high = (0, 2**-bits) if bits < 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if leaves and not (low <= min(leaves) and max(leaves) < high):
        return None
    wide = np.array(leaves, dtype=np.uint64 if bits < 0 else np.int64)
    return wide.astype(dtype.numpy, copy=False)  # narrower ones wrap around silently, as upstream


def _string_array(leaves: list[Any]) -> np.ndarray | None:
    array = np.empty(len(leaves), dtype=object)
    try:
        array[:] = [json_elements.read_bytes(leaf) for leaf in leaves]
    except (InvalidArgument, binascii.Error):
        return None
    return array


class _ThreadParser(threading.local):
    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_thread_parser = _ThreadParser()


def match_signature(body: bytes) -> str | None:
    """Returns the signature that a body names, empty for the default; None for another form or few numbers."""
    head = _HEAD.match(body, 0, _FEW) if len(body) > _FEW else None
    return (head[1] or b"").decode() if head else None


def read_number_rows(body: bytes, dtype: Dtype) -> np.ndarray | None:
    """The `instances` of a body whose head has this form.

    Args:
        body: With one member, or two if it names a signature.
        dtype: What the input takes.

    Returns:
        A tensor with one or two dimensions; None where `dtype` is not float or double, or the instances are not
        evenly many numbers each.
    """
    if dtype.name not in {"float", "double"}:
        return None
    parser = _thread_parser.parser if len(body) <= _KEPT else simdjson.Parser()
    try:
        values = _number_array(parser.parse(body), body)
    except (ValueError, TypeError, RuntimeError):  # no JSON, or a value that is no number
        return None
    with np.errstate(over="ignore", under="ignore"):
        return None if values is None else values.astype(dtype.numpy, copy=False)


def _number_array(document: Any, body: bytes) -> np.ndarray | None:
    instances = document["instances"]
    rows, brackets = len(instances), int(np.count_nonzero(np.frombuffer(body, np.uint8) == _BRACKET))
    sizes = [rows] if brackets == 1 else [rows, *set(map(len, instances))]
    flat = np.frombuffer(instances.as_buffer(of_type="d"))  # whatever nests how: that is what the brackets tell
    even = brackets in {1, rows + 1} and flat.size == math.prod(sizes)
    return flat.reshape(sizes) if even and len(document) == 1 + ("signature_name" in document) else None
