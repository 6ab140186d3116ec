"""Arrays to JSON and back, at the speed of orjson where it is right.

orjson writes NaN as null and reads no NaN, Infinity or broken UTF-8, all of which TensorFlow Serving uses: those go
through the standard library (10 times slower).
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from serving.client import values
from serving.errors import InvalidArgument, Unimplemented
from serving.wire import dtypes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.core.signature import TensorInfo

# spec: the types that TensorFlow Serving's JSON can carry.
_SUPPORTED_TYPES = {"float", "double", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "string"}


def json_string(value: str) -> bytes:
    """A JSON string."""
    return json.dumps(value).encode()


def encode(array: np.ndarray, what: str) -> bytes:
    """The JSON of a tensor; bytes that are no text as base64 objects.

    Args:
        array: Any shape, of a tensor's type.
        what: What the error calls it.

    Raises:
        Unimplemented: JSON cannot carry the type.
    """
    dtype = dtypes.from_array(array)
    if dtype.name not in _SUPPORTED_TYPES:
        raise Unimplemented(
            f"{what} cannot be sent over REST.\n"
            f"Expected: one of {', '.join(sorted(_SUPPORTED_TYPES))}\n"
            f"Received: {dtype.name}\n"
            f'Next: use gRPC, which carries every type, such as Client("127.0.0.1:8500")'
        )
    if dtype is dtypes.STRING:
        return orjson.dumps(_to_json(array.tolist()))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return json.dumps(array.tolist()).encode()
    if not array.ndim:
        return orjson.dumps(array.item())
    return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)


def _to_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    # A NUL ends strings in some readers.
    return {"b64": base64.b64encode(value).decode()} if "\0" in text else text


def json_features(named: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The features of an example, with bytes as JSON can hold them."""
    return {
        name: [_to_json(item) if isinstance(item, bytes) else item for item in content]
        for name, content in named.items()
    }


def loads(content: bytes) -> Any:
    """The document of an answer; bytes of strings that are not UTF-8 become surrogates.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content.decode("utf-8", "surrogateescape"), strict=False)


def decode(value: Any, info: TensorInfo, name: str) -> np.ndarray:
    """An output's value as an array of the declared type.

    Args:
        value: What the JSON holds.
        info: What the signature declares.
        name: The output's name.

    Raises:
        ValueError: The value is of another type: the signature is no longer the model's.
    """
    if info.dtype is dtypes.STRING:
        value = _decode_bytes(value)
    elif isinstance(value, str):
        raise ValueError(f"text in output {name}")
    try:
        array = values.to_array(value, info.dtype, f"Output {name!r}")
    except InvalidArgument as error:
        raise ValueError(error) from error
    return _add_declared_axes(array, info.shape)


def _decode_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode_bytes(item) for item in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return value


def _add_declared_axes(array: np.ndarray, declared: tuple[int, ...] | None) -> np.ndarray:
    """An empty list does not say how many columns its rows would have; the signature does."""
    if array.shape != (0,) or declared is None or len(declared) < 2:  # noqa: PLR2004 - rows and columns
        return array
    return array.reshape((0, *(max(size, 0) for size in declared[1:])))
