"""What the requests that run a model carry: tensors or Examples, read here or in a process of its own.

A parser of protobuf holds the interpreter until it is done, for tens of milliseconds per megabyte where a message has
many parts. Those are told by their encoding, and read by `serving.core.reader_process`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from serving.core import classify_regress
from serving.core.reader_process import ReaderProcess, pack_strings
from serving.errors import InvalidArgument
from serving.wire import protos, tensor_proto
from serving.wire.proto_fields import Field, list_fields
from serving.wire.strings import Strings, unpack_few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np

    from serving.wire.strings import Tensor

_SMALL = 1 << 16  # bytes that are parsed in a millisecond, whatever they are
_MANY = 1 << 12  # parts
_LONG = 1 << 10  # bytes of a string that cost more to copy than to find
_CARGO = 2  # number of the field with tensors or Examples, in all of these messages
_CONTENT, _STRING = 4, 8  # of a TensorProto: its bytes as they are, and one string


@dataclass(frozen=True)
class Contents:
    """The tensors or Examples of a request.

    Attributes:
        names: Of the tensors.
        arrays: Reads them, by name.
        examples: Reads the serialized Examples, (examples,).
    """

    names: Iterable[str]
    arrays: Callable[[], Mapping[str, Tensor]]
    examples: Callable[[], Tensor]


def contents_of(request: Any) -> Contents:
    """The contents of a message that is parsed."""
    names = request.inputs if hasattr(request, "inputs") else ()
    return Contents(names, partial(_read_inputs, request), lambda: classify_regress.examples(request.input))


def _read_inputs(request: Any) -> dict[str, np.ndarray]:
    return {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}


def distant_contents(process: ReaderProcess, kind: str, body: bytes, deadline: float) -> tuple[bytes, Contents]:
    """The contents of a large message, to be read in another process, and the message without them.

    Args:
        process: The other one.
        kind: Module and name of the message, such as `apis.predict_pb2.PredictRequest`.
        body: The message.
        deadline: When the caller stops waiting, by `time.monotonic`.

    Raises:
        InvalidArgument: It is no such message.
    """
    try:
        fields = list(list_fields(body, most=_MANY))
        light = b"".join(body[field.start : field.end] for field in fields if field.number != _CARGO)
        cargo = [field for field in fields if field.number == _CARGO]
        names = {_entry_name(body, field) for field in cargo} if kind.endswith("PredictRequest") else set()
    except ValueError as error:
        raise InvalidArgument(f"The request is no {kind.rpartition('.')[2]}: {error}") from error
    call = partial(process.call, deadline=deadline)
    return light, Contents(
        names,
        lambda: {name: unpack_few(each) for name, each in call(read_tensors, kind, body).items()},
        lambda: unpack_few(call(read_examples, kind, body)),
    )


def _entry_name(body: bytes, entry: Field) -> str:
    parts = list_fields(body, entry.content, entry.end, most=_MANY)
    names = [body[field.content : field.end] for field in parts if field.number == 1]
    return names[-1].decode() if names else ""


def read_tensors(kind: str, body: bytes) -> dict[str, Tensor]:
    """The tensors of a `PredictRequest`, packed; called in the other process."""
    return pack_strings(_read_inputs(parse(kind, body)))


def read_examples(kind: str, body: bytes) -> Strings:
    """The Examples of a request, packed; called in the other process."""
    return Strings.join(classify_regress.examples(parse(kind, body).input))


def parse(kind: str, body: bytes) -> Any:
    """A message of a kind.

    Raises:
        InvalidArgument: The bytes are none.
    """
    module, _, name = kind.rpartition(".")
    try:
        return getattr(protos.load(module), name).FromString(body)
    except DecodeError as error:
        raise InvalidArgument(f"The request is no {name}: {error}") from error


def is_heavy(kind: str, body: bytes) -> bool:
    """Whether a message has so many parts, or might have, that its parser would hold the interpreter for long."""
    if len(body) <= _SMALL:
        return False
    if not kind.endswith("PredictRequest"):
        return True
    try:
        return len(body) - _plain_bytes(body) > _SMALL
    except ValueError:
        return True


def _plain_bytes(body: bytes) -> int:
    """Bytes of tensors that are only copied.

    Raises:
        ValueError: There are too many parts, or it is no message.
    """
    plain = parts = 0
    for entry in list_fields(body):
        for tensor in list_fields(body, entry.content, entry.end) if entry.number == _CARGO else ():
            for field in list_fields(body, tensor.content, tensor.end) if tensor.number == _CARGO else ():
                size = field.end - field.content
                plain += size if field.number == _CONTENT or (field.number == _STRING and size > _LONG) else 0
                parts = _count_up(parts)
            parts = _count_up(parts)
        parts = _count_up(parts)
    return plain


def _count_up(parts: int) -> int:
    if parts >= _MANY:
        raise ValueError(parts)
    return parts + 1
