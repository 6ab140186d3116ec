"""The JSON of the REST requests that run a model, read to arrays or Examples; pure functions of their bytes.

What is large is read in a process of its own (`serving.core.reader_process`), so nothing here knows a loaded model.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import classify_regress
from serving.core.columns import Columns
from serving.core.predict import DEFAULT_SIGNATURE
from serving.core.reader_process import pack_strings
from serving.errors import Code, InvalidArgument, ServingError
from serving.wire import dtypes, json_answers, json_long, json_parser, json_tensors, json_writer
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.wire.dtypes import Dtype

_HALF = frozenset({"half", "bfloat16"})


@dataclass(slots=True)  # one for each request: a frozen one takes three times as long to make
class Expectation:
    """What a request may fit.

    Attributes:
        is_predict: Whether it carries tensors, and not Examples.
        signatures: Types of the inputs by their names, by the signature's name; None where there is no such model.
        columns: Other names of the inputs.
        half: Whether half and bfloat16 travel as JSON numbers.
    """

    is_predict: bool
    signatures: Mapping[str, Mapping[str, Dtype]] | None = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)
    half: bool = False


@dataclass(slots=True)  # as above
class Tensors:
    """A predict request.

    Attributes:
        signature: Name of the signature.
        arrays: Inputs by name; strings are packed where they pass between processes.
        by_row: Whether the answer is to be in rows.
    """

    signature: str
    arrays: Mapping[str, Any]
    by_row: bool


@dataclass(frozen=True)
class Examples:
    """A classify or regress request.

    Attributes:
        signature: Name of the signature.
        examples: Serialized `tf.train.Example`s, (examples,).
        given: The `tensorflow.serving.Input`, serialized, as it came.
    """

    signature: str
    examples: Strings
    given: bytes


@dataclass(frozen=True)
class Refusal:
    """Why a body does not fit the model."""

    message: str
    code: Code


def inflate(packed: bytes, limit: int) -> bytes:
    """A body without its gzip; empty where that fails or grows beyond the limit, as upstream."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(packed, limit)
    except zlib.error:
        return b""
    return body if inflate.eof else b""


def measure(packed: bytes, limit: int) -> int:
    """Bytes of memory that a packed body's values take; called in another process than the server's."""
    return json_long.measure(inflate(packed, limit)).memory


def read(body: bytes, expected: Expectation, limit: int | None = None) -> Tensors | Examples | Refusal | None:
    """Reads a request, in another process than the server's.

    Args:
        body: JSON.
        expected: What it may fit.
        limit: Bytes that a packed body may have; None for one that is not packed.

    Returns:
        None where there is no model that it could fit.

    Raises:
        InvalidArgument: The body is wrong whatever the model is.
    """
    body = body if limit is None else inflate(body, limit)
    if rows := _read_rows(body, expected):
        return rows
    document = parse_document(body)
    name = signature_name(document)
    if not expected.is_predict:
        given = json_answers.read_input(document)
        return Examples(name, Strings.join(classify_regress.examples(given)), given.SerializeToString())
    if expected.signatures is None:
        return None
    try:
        read = read_tensors(document, name, expected.signatures.get(name or DEFAULT_SIGNATURE), expected)
        return replace(read, arrays=pack_strings(read.arrays))
    except ServingError as error:
        return Refusal(error.message, error.code)


def _read_rows(body: bytes, expected: Expectation) -> Tensors | None:
    """The fast path for rows of numbers."""
    name = json_tensors.match_signature(body) if expected.is_predict and expected.signatures else None
    wanted = (expected.signatures or {}).get(name or DEFAULT_SIGNATURE) if name is not None else None
    if not wanted or len(wanted) != 1:
        return None
    [(alias, dtype)] = wanted.items()
    array = json_tensors.read_number_rows(body, dtype)
    return None if array is None else Tensors(name or DEFAULT_SIGNATURE, {alias: array}, by_row=True)


def parse_document(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        InvalidArgument: It is none.
    """
    document = json_parser.loads(body)
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {json_writer.debug_text(document)} Is not object")
    return document


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request names; the default where it names none.

    Raises:
        InvalidArgument: It is no string.
    """
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {json_writer.debug_text(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def read_tensors(
    document: dict[str, Any], name: str, wanted: Mapping[str, Dtype] | None, expected: Expectation
) -> Tensors:
    """The inputs of a predict request.

    Args:
        document: The parsed body.
        name: Of the signature.
        wanted: Types of its inputs by name; None where there is no such signature.
        expected: The other names of the inputs, and how half is written.

    Raises:
        ServingError: They do not fit.
    """
    if wanted is None:
        raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
    if not wanted:
        raise InvalidArgument(f"Failed to get input map for signature: {name}")
    try:
        return Tensors(name, *_read_inputs(document, wanted, half=expected.half))
    except InvalidArgument:
        fitted = expected.columns.fit(document, wanted)
        if fitted is None:
            raise
        return Tensors(name, *_read_inputs(fitted, wanted, half=expected.half))


def _read_inputs(
    document: dict[str, Any], wanted: Mapping[str, Dtype], *, half: bool
) -> tuple[dict[str, np.ndarray], bool]:
    """Inputs by name, and whether the answer is to be in rows; narrow floats are read as float32 and rounded."""
    narrow = [name for name, dtype in wanted.items() if dtype.name in _HALF] if half else []
    if not narrow:
        return json_tensors.read_inputs(document, wanted)
    arrays, by_row = json_tensors.read_inputs(document, {**wanted, **dict.fromkeys(narrow, dtypes.FLOAT)})
    with np.errstate(over="ignore"):
        return {**arrays, **{name: arrays[name].astype(wanted[name].numpy) for name in narrow}}, by_row
