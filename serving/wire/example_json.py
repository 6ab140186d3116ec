"""The `examples` of a REST classify or regress request, and the answers' `results`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import InvalidArgument
from serving.wire import protos, strict
from serving.wire.json_text import debug, leaves, string

if TYPE_CHECKING:
    from collections.abc import Sequence


def from_body(document: dict[str, Any]) -> Any:
    """A `tensorflow.serving.Input` from a request body.

    Args:
        document: With `examples`, a list of objects of features, and optionally `context`, one such object.

    Raises:
        InvalidArgument: No examples, or a feature that is no scalar or flat list of one kind.
    """
    message = protos.load("apis.input_pb2").Input()
    group = message.example_list
    if "context" in document:
        group = message.example_list_with_context
        _fill(document["context"], group.context)
    for value in _examples(document):
        _fill(value, group.examples.add())
    return message


def _examples(document: dict[str, Any]) -> list[Any]:
    where = f"JSON Value: {debug(document)}"
    if "examples" not in document:  # upstream says classify for regress too
        raise InvalidArgument(f"{where} When method is classify, key 'examples' is expected and was not found")
    found = document["examples"]
    if not isinstance(found, list):
        raise InvalidArgument(f"{where} Expecting 'examples' value to be an list/array")
    if not found:
        raise InvalidArgument(f"{where} 'examples' value is an empty array")
    return found


def _fill(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {strict.kind(value)}")
    example.features.SetInParent()
    for name, content in value.items():
        feature = _feature(example, name)
        for item in content if isinstance(content, list) else [content]:
            _add(item, name, feature)


def _feature(example: Any, name: str) -> Any:
    try:
        return example.features.feature[name]
    except UnicodeEncodeError as error:  # protobuf's strings are UTF-8
        raise InvalidArgument(f"Feature: {name} has a name that is not UTF-8") from error


def _add(value: Any, name: str, feature: Any) -> None:
    kind, plain = _read(value, name)
    known = feature.WhichOneof("kind")
    if known not in {None, f"{kind}_list"}:
        raise InvalidArgument(f"Unexpected element type in feature: {name} expecting type: {known[:-5]}")
    getattr(feature, f"{kind}_list").value.append(plain)


def _read(value: Any, name: str) -> tuple[str, Any]:
    """The kind of list that a value belongs to, and the value."""
    if isinstance(value, str) or strict.is_base64(value):
        return "bytes", strict.text(value)
    if isinstance(value, float):
        return "float", _narrow(value)
    if not isinstance(value, int):
        raise InvalidArgument(f"Feature: {name} has element with unexpected JSON type: {strict.kind(value)}")
    if value >= 2**63:
        raise InvalidArgument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    return "int64", int(value)


def _narrow(value: float) -> float:
    """As a float32; beyond its range infinite."""
    with np.errstate(over="ignore"):
        narrow = float(np.float32(value))
    return narrow if math.isfinite(value) else value


def classes(results: Sequence[Sequence[tuple[bytes, float]]]) -> bytes:
    """`{"results": [...]}`: a list of [label, score] pairs per example."""
    return _body(f"[{', '.join(map(_pairs, results))}\n    ]")


def _pairs(row: Sequence[tuple[bytes, float]]) -> str:
    scores = leaves(np.array([score for _, score in row], dtype=np.float32))
    labels = [string(label.decode("utf-8", "surrogateescape")) for label, _ in row]
    return f"[{', '.join(f'[{label}, {score}]' for label, score in zip(labels, scores, strict=True))}]"


def values(results: np.ndarray) -> bytes:
    """`{"results": [...]}`: a number per example."""
    return _body(f"[{', '.join(leaves(results))}]")


def _body(results: str) -> bytes:
    return f'{{\n    "results": {results}\n}}'.encode("utf-8", "surrogateescape")
