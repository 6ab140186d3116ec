"""The JSON answers of predict, classify and regress, and the `examples` of a classify or regress request."""

from __future__ import annotations

import io
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import InvalidArgument
from serving.wire import dtypes, json_elements, json_writer, protos
from serving.wire.json_writer import INDENT, debug_text, element_texts, nest_texts, quote_string, row_texts
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from serving.wire.strings import Tensor


_OBJECT = 3  # containers open around a member of a row: the answer, the list, the row
_MANY = 32  # numbers from which on it pays to write them all at once
_SHORT = 1 << 12  # characters
_PLAIN = frozenset({"float", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"})


def write_rows(outputs: Mapping[str, Tensor]) -> bytes:
    """`{"predictions": [...]}`: each row's value, or its object of values by output name.

    Raises:
        InvalidArgument: An output has no batch dimension, or not the same one, or a type that JSON cannot
            carry.
    """
    count = _batch_size(outputs)
    if len(outputs) == 1 and (plain := _plain_rows(next(iter(outputs.values())))):
        return plain
    texts = {name: _row_texts(name, array, depth=_OBJECT if len(outputs) > 1 else 2) for name, array in outputs.items()}
    if len(outputs) == 1:
        lines = next(iter(texts.values()))
    else:
        columns = {name: iter(column) for name, column in texts.items()}
        lines = (_object({name: next(column) for name, column in columns.items()}, 2) for _ in range(count))
    return _answer_list("predictions", lines, f"\n{INDENT}]" if count else "]")


def _plain_rows(array: Tensor) -> bytes | None:
    """The answer with one output of many numbers; None for any other."""
    if isinstance(array, Strings) or array.size < _MANY or dtypes.from_array(array).name not in _PLAIN:
        return None
    return _answer_body("predictions", json_writer.number_texts(array, f"\n{INDENT}]"))


def write_columns(outputs: Mapping[str, Tensor]) -> bytes:
    """`{"outputs": X}`: the one output's value, or an object of values by output name.

    Raises:
        InvalidArgument: An output has a type that JSON cannot carry.
    """
    if len(outputs) == 1:
        [(name, array)] = outputs.items()
        return _answer_body("outputs", _tensor_texts(name, array, 1))
    texts = {name: "".join(_tensor_texts(name, array, 2)) for name, array in outputs.items()}
    return _answer_body("outputs", [_object(texts, 1)])


def _answer_list(key: str, texts: Iterable[str], end: str) -> bytes:
    if isinstance(texts, list) and len(texts) <= _MANY and sum(map(len, texts)) <= _SHORT:  # at once: most answers
        return f'{{\n{INDENT}"{key}": [{", ".join(texts)}{end}\n}}'.encode("utf-8", "surrogateescape")
    return _answer_body(key, itertools.chain(["["], json_writer.join_texts(", ", texts), [end]))


def _answer_body(key: str, pieces: Iterable[str]) -> bytes:
    """The pieces behind each other; a long answer is never copied as a whole, which would hold up other requests."""
    buffer = io.BytesIO()
    for piece in itertools.chain([f'{{\n{INDENT}"{key}": '], pieces, ["\n}"]):
        buffer.write(piece.encode("utf-8", "surrogateescape"))
    return buffer.getvalue()


def _object(members: Mapping[str, str], depth: int) -> str:
    lines = [f"{INDENT * (depth + 1)}{quote_string(name)}: {value}" for name, value in members.items()]
    return "{\n" + ",\n".join(lines) + f"\n{INDENT * depth}}}"


def _row_texts(name: str, array: Tensor, depth: int) -> Iterable[str]:
    return row_texts(_element_texts(name, array, depth + array.ndim - 1), array.shape)


def _tensor_texts(name: str, array: Tensor, depth: int) -> Iterator[str]:
    return nest_texts(iter(_element_texts(name, array, depth + array.ndim)), array.shape, depth)


def _element_texts(name: str, array: Tensor, depth: int) -> Iterable[str]:
    dtype = dtypes.from_array(array)
    if array.dtype.kind not in "fiubO" or dtype.name in {"half", "bfloat16", "invalid"}:
        raise InvalidArgument(f"Failed to write JSON value for tensor type: {dtype.name}")
    return element_texts(array, as_base64=name.endswith("_bytes"), indent=INDENT * depth)


def _batch_size(outputs: Mapping[str, Tensor]) -> int:
    size = -1
    for name, array in outputs.items():
        if not array.ndim:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if size >= 0 and array.shape[0] != size:
            raise InvalidArgument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {size}"
            )
        size = array.shape[0]
    return size


def read_input(document: dict[str, Any]) -> Any:
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
        _fill_example(document["context"], group.context)
    for value in _example_list(document):
        _fill_example(value, group.examples.add())
    return message


def _example_list(document: dict[str, Any]) -> list[Any]:
    where = f"JSON Value: {debug_text(document)}"
    if "examples" not in document:  # upstream says classify for regress too
        raise InvalidArgument(f"{where} When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidArgument(f"{where} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidArgument(f"{where} 'examples' value is an empty array")
    return examples


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {json_elements.json_kind(value)}")
    example.features.SetInParent()
    for name, content in value.items():
        feature = _feature(example, name)
        for item in content if isinstance(content, list) else [content]:
            _add_value(item, name, feature)


def _feature(example: Any, name: str) -> Any:
    try:
        return example.features.feature[name]
    except UnicodeEncodeError as error:  # protobuf's strings are UTF-8
        raise InvalidArgument(f"Feature: {name} has a name that is not UTF-8") from error


def _add_value(value: Any, name: str, feature: Any) -> None:
    kind, plain = _read_value(value, name)
    known = feature.WhichOneof("kind")
    if known not in {None, f"{kind}_list"}:
        raise InvalidArgument(f"Unexpected element type in feature: {name} expecting type: {known[:-5]}")
    getattr(feature, f"{kind}_list").value.append(plain)


def _read_value(value: Any, name: str) -> tuple[str, Any]:
    """The kind of list that a value belongs to, and the value."""
    if isinstance(value, str) or json_elements.is_base64(value):
        return "bytes", json_elements.read_bytes(value)
    if isinstance(value, float):
        return "float", _narrow_float(value)
    if not isinstance(value, int):
        raise InvalidArgument(
            f"Feature: {name} has element with unexpected JSON type: {json_elements.json_kind(value)}"
        )
    if value >= 2**63:
        raise InvalidArgument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    return "int64", int(value)


def _narrow_float(value: float) -> float:
    """As a float32; beyond its range infinite."""
    with np.errstate(over="ignore"):
        narrow = float(np.float32(value))
    return narrow if math.isfinite(value) else value


def write_classes(results: Iterable[Sequence[tuple[bytes, float]]]) -> bytes:
    """`{"results": [...]}`: a list of [label, score] pairs per example."""
    return _answer_list("results", map(_label_pairs, results), f"\n{INDENT}]")


def _label_pairs(row: Sequence[tuple[bytes, float]]) -> str:
    scores = element_texts(np.array([score for _, score in row], dtype=np.float32))
    labels = [quote_string(label.decode("utf-8", "surrogateescape")) for label, _ in row]
    return f"[{', '.join(f'[{label}, {score}]' for label, score in zip(labels, scores, strict=True))}]"


def write_values(results: np.ndarray) -> bytes:
    """`{"results": [...]}`: a number per example."""
    return _answer_list("results", element_texts(results), "]")
