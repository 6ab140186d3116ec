"""The request for a model: given or generated values for its signature's inputs, encoded for one transport."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from serving.core.model import as_array
from serving.errors import FailedPrecondition, InvalidArgument, Unimplemented
from serving.loadtest.target import GRPC_PREDICT, Target
from serving.wire import json_tensors, protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.core.signature import Signature, TensorInfo


REST_URL = "http://127.0.0.1:8501"
GENERATED_TEXT = "the quick brown fox"
_SEED = 1
_SMALL = 10  # generated integers are below: an index into something is then likely to exist


def target_for_model(
    name: str,
    *,
    url: str = "",
    grpc: str = "",
    signature: str = "serving_default",
    inputs: Sequence[str] = (),
    rows: int = 1,
    token: str = "",
    timeout_s: float = 10.0,
    ca: str = "",
) -> Target:
    """The request for a served model; its metadata are read once.

    Args:
        name: The model.
        url: REST API; `http://127.0.0.1:8501` where neither is given.
        grpc: gRPC API, such as `127.0.0.1:8500`, or `grpcs://HOST:PORT` with TLS.
        signature: Key of the signature.
        inputs: Nothing for generated values; a file or value, or `NAME=` one, for each input; or a file with a whole
            JSON body, which REST sends as it is.
        rows: Rows of one request.
        token: Bearer token.
        timeout_s: Of the requests.
        ca: PEM file of the authorities to trust with TLS; empty for the usual ones.

    Raises:
        ServingError: No server, no such model or signature, or inputs that do not fit.
    """
    declared = _ask_signature(name, grpc or url or REST_URL, signature, token, ca)
    body = read_json_body(inputs)
    if grpc:
        arrays = input_arrays(declared, inputs, rows) if body is None else _parse_body(body, declared)
        encoded = _grpc_body(name, signature, arrays)
        return Target(grpc, GRPC_PREDICT, encoded, "grpc", token, timeout_s, name, signature, ca)
    if body is None:
        body = _encode_json(declared, input_arrays(declared, inputs, rows))
    path = f"/v1/models/{quote(name, safe='')}:predict"
    return Target(url or REST_URL, path, body, "rest", token, timeout_s, name, signature, ca)


def _ask_signature(name: str, address: str, signature: str, token: str, ca: str) -> Signature:
    from serving.client.client import Client

    with Client(address, token=token or None, ca=ca or None) as client:
        known = client.metadata(name)
    if signature not in known:
        names = ", ".join(_callable(known))
        raise FailedPrecondition(
            f"{name} has no signature {signature!r}.\nExpected: one of {names}\nReceived: {signature}"
        )
    return known[signature]


def _callable(known: Mapping[str, Signature]) -> list[str]:
    """Without the exporter's bookkeeping, which has no inputs."""
    return [name for name, signature in known.items() if signature.inputs]


def _encode_json(declared: Signature, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Rows where the signature takes any number of them, else columns."""
    columns = {name: _to_json(name, value.tolist()) for name, value in arrays.items()}
    for name, value in arrays.items():
        if value.dtype.name in {"float16", "bfloat16"} or value.dtype.kind == "c":
            raise Unimplemented(
                f"JSON cannot carry input {name}.\nExpected: a type of JSON\nReceived: {value.dtype}\n"
                "Next: use gRPC, with --grpc HOST:PORT"
            )
    if all(info.shape and info.shape[0] == -1 for info in declared.inputs.values()):
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        values: dict[str, Any] = {"instances": rows if len(columns) > 1 else next(iter(columns.values()))}
    else:
        values = {"inputs": columns}
    return json.dumps({"signature_name": declared.name, **values}).encode()


def _to_json(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_to_json(name, item) for item in value]
    if not isinstance(value, bytes):
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text and not name.endswith("_bytes") else {"b64": base64.b64encode(value).decode()}


def _grpc_body(name: str, signature: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in arrays.items():
        tensor_proto.encode(value, request.inputs[key])
    encoded: bytes = request.SerializeToString()
    return encoded


def _parse_body(body: bytes, declared: Signature) -> dict[str, np.ndarray]:
    """The tensors of a JSON body, as the REST API reads them."""
    try:
        return json_tensors.read_inputs(json.loads(body), declared.dtypes)[0]
    except ValueError as error:
        raise InvalidArgument(f"The body is no JSON.\nExpected: an object\nReceived: {error}") from error


def read_json_body(inputs: Sequence[str]) -> bytes | None:
    """The content of the one file that holds a whole request; None where there is no such file."""
    if len(inputs) != 1 or not _is_file(inputs[0]):
        return None
    content = Path(inputs[0]).read_bytes()
    try:
        document = json.loads(content)
    except ValueError:
        return None
    whole = isinstance(document, dict) and ("instances" in document or "inputs" in document)
    return content if whole else None


def input_arrays(signature: Signature, inputs: Sequence[str], rows: int) -> dict[str, np.ndarray]:
    """An array for each input.

    Args:
        signature: Names, types and shapes.
        inputs: Files or JSON values, `NAME=` before them where there are several inputs; the rest is generated.
        rows: First size where the signature leaves it open; other open sizes are 1. A value that is one row is
            repeated as often.

    Raises:
        InvalidArgument: A name or value that does not fit.
    """
    given = _inputs_by_name(signature, inputs)
    chance = random.Random(_SEED)  # noqa: S311 - no secret
    return {
        name: _read_value(given[name], name, info, rows) if name in given else _generate(info, rows, chance)
        for name, info in signature.inputs.items()
    }


def _inputs_by_name(signature: Signature, inputs: Sequence[str]) -> dict[str, str]:
    names = list(signature.inputs)
    if len(names) == 1 and len(inputs) == 1 and inputs[0].partition("=")[0] != names[0]:
        return {names[0]: inputs[0]}
    pairs = {key: value for key, _, value in (text.partition("=") for text in inputs)}
    if not pairs.keys() <= set(names):
        raise InvalidArgument(
            f"The inputs do not fit {signature.name}.\nExpected: {' '.join(f'{name}=VALUE' for name in names)}\n"
            f"Received: {' '.join(inputs)}"
        )
    return pairs


def _read_value(text: str, name: str, info: TensorInfo, rows: int) -> np.ndarray:
    """A file's bytes or a text where the input takes strings, else a JSON value."""
    value: Any = Path(text).read_bytes() if _is_file(text) else text
    if info.dtype.name != "string":
        try:
            value = json.loads(value)
        except ValueError:
            raise InvalidArgument(
                f"The value of {name} is no {info.dtype.name}.\nExpected: {name}=NUMBER, a JSON list, or a file with "
                f"one\nReceived: {text}"
            ) from None
    array = as_array(value, info.dtype)
    if info.shape and array.ndim == len(info.shape) - 1:
        array = np.repeat(array[np.newaxis], rows, axis=0)
    return array


def _generate(info: TensorInfo, rows: int, chance: random.Random) -> np.ndarray:
    declared = info.shape if info.shape is not None else (-1,)
    shape = tuple((rows if axis == 0 else 1) if size < 0 else size for axis, size in enumerate(declared))
    array = np.empty(shape, dtype=info.dtype.numpy)
    array.reshape(-1)[...] = [_generate_value(info.dtype.numpy, chance) for _ in range(array.size)]
    return array


def _generate_value(kind: np.dtype | None, chance: random.Random) -> Any:
    if kind is None or kind.kind == "O":
        return GENERATED_TEXT.encode()
    if kind.kind in "iub":
        return chance.randrange(2 if kind.kind == "b" else _SMALL)
    return chance.random()


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or a zero in it
        return False
