"""JSON schemas of tensors, as TensorFlow Serving's REST API writes them.

Shapes are those that the signature declares. The server itself leaves them to the graph, so it may take more than the
schema says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.core.signature import Signature, TensorInfo
    from serving.wire.dtypes import Dtype

Schema = dict[str, Any]
BASE64: Schema = {
    "type": "object",
    "description": "Bytes in base64.",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}
_INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_NUMBERS = {"float", "double", "half", "bfloat16"}
_UNSUPPORTED = "TensorFlow Serving's REST API has no form for this type: use gRPC."
SUPPORTED_TYPES = {"float", "double", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "bool", "string"}


def tensor_schema(dtype: Dtype, shape: Sequence[int] | None, *, as_bytes: bool | None = None) -> Schema:
    """The schema of a tensor.

    Args:
        dtype: Its type.
        shape: Declared sizes, -1 for any; None for any rank.
        as_bytes: Of an answer's strings: only base64 objects (True), only text (False). None for an input: strings are
            either, and a list of lists is not empty, since `[]` does not say that there are lists in it.
    """
    leaf = _leaf(dtype, as_bytes)
    if shape is None:
        return {"description": f"{dtype.name} values, nested as the model wants it."}
    for size in reversed(shape):
        filled = {"minItems": 1} if as_bytes is None and leaf.get("type") == "array" else {}
        leaf = {"type": "array", "items": leaf, **({"minItems": size, "maxItems": size} if size >= 0 else filled)}
    return leaf


def _leaf(dtype: Dtype, as_bytes: bool | None) -> Schema:
    note = {} if dtype.name in SUPPORTED_TYPES else {"description": f"{dtype.name}. {_UNSUPPORTED}"}
    if dtype.name in _NUMBERS:
        return {"type": "number", **note}
    if dtype.name in _INTEGERS:
        low, high = _INTEGERS[dtype.name]
        return {"type": "integer", "minimum": low, "maximum": high, **note}
    if dtype.name == "bool":
        return {"type": "boolean"}
    if dtype.name == "string":
        text: Schema = {"type": "string"}
        return {None: {"oneOf": [text, BASE64]}, True: BASE64, False: text}[as_bytes]
    return note


def has_rows(signature: Signature) -> bool:
    """Whether the row form can work: all tensors have a first dimension, and the inputs have the same one."""
    tensors = (*signature.inputs.values(), *signature.outputs.values())
    sizes = {info.shape[0] for info in signature.inputs.values() if info.shape}
    return all(info.shape != () for info in tensors) and len({size for size in sizes if size >= 0}) <= 1


def rows_schema(signature: Signature) -> Schema:
    """The `instances` of a predict request."""
    named = _object({name: tensor_schema(info.dtype, _row(info)) for name, info in signature.inputs.items()})
    if len(signature.inputs) == 1:
        [info] = signature.inputs.values()
        return {"type": "array", "minItems": 1, "items": {"anyOf": [tensor_schema(info.dtype, _row(info)), named]}}
    return {"type": "array", "minItems": 1, "items": named}


def columns_schema(signature: Signature) -> Schema:
    """The `inputs` of a predict request."""
    named = _object({name: tensor_schema(info.dtype, info.shape) for name, info in signature.inputs.items()})
    if len(signature.inputs) == 1:
        [info] = signature.inputs.values()
        return {"anyOf": [tensor_schema(info.dtype, info.shape), named]}
    return named


def predictions_schema(signature: Signature) -> Schema:
    """The answer in rows."""
    return {
        "type": "array",
        "items": _output_schema({name: (info, _row(info)) for name, info in signature.outputs.items()}),
    }


def outputs_schema(signature: Signature) -> Schema:
    """The answer in columns."""
    return _output_schema({name: (info, info.shape) for name, info in signature.outputs.items()})


def _output_schema(tensors: Mapping[str, tuple[TensorInfo, Sequence[int] | None]]) -> Schema:
    schemas = {
        name: tensor_schema(info.dtype, shape, as_bytes=name.endswith("_bytes"))
        for name, (info, shape) in tensors.items()
    }
    return next(iter(schemas.values())) if len(schemas) == 1 else _object(schemas)


def _row(info: TensorInfo) -> Sequence[int] | None:
    return info.shape[1:] if info.shape else None


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
