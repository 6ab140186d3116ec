"""The request for a model: values of the types that its signature takes, encoded for one transport."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from serving.errors import FailedPrecondition, InvalidArgument, Unimplemented
from serving.loadtest import payload
from serving.loadtest.target import GRPC_PREDICT, Target
from serving.wire import protos, tensor_json, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from serving.core.signature import Signature

REST_URL = "http://127.0.0.1:8501"


def of_model(
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
    """The request for a served model; its metadata are asked for once.

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
    declared = _declared(name, grpc or url or REST_URL, signature, token, ca)
    body = payload.json_body(inputs)
    if grpc:
        arrays = payload.arrays(declared, inputs, rows) if body is None else _parsed(body, declared)
        encoded = _rpc_body(name, signature, arrays)
        return Target(grpc, GRPC_PREDICT, encoded, "grpc", token, timeout_s, name, signature, ca)
    if body is None:
        body = _json_body(declared, payload.arrays(declared, inputs, rows))
    path = f"/v1/models/{quote(name, safe='')}:predict"
    return Target(url or REST_URL, path, body, "rest", token, timeout_s, name, signature, ca)


def _declared(name: str, address: str, signature: str, token: str, ca: str) -> Signature:
    from serving import Client

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


def _json_body(declared: Signature, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Rows where the signature takes any number of them, else columns."""
    columns = {name: _jsonable(name, value.tolist()) for name, value in arrays.items()}
    for name, value in arrays.items():
        if value.dtype.name in {"float16", "bfloat16"} or value.dtype.kind == "c":
            raise Unimplemented(
                f"JSON cannot carry input {name}.\nExpected: a type of JSON\nReceived: {value.dtype}\n"
                "Next: ask over gRPC, with --grpc HOST:PORT"
            )
    if all(info.shape and info.shape[0] == -1 for info in declared.inputs.values()):
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        values: dict[str, Any] = {"instances": rows if len(columns) > 1 else next(iter(columns.values()))}
    else:
        values = {"inputs": columns}
    return json.dumps({"signature_name": declared.name, **values}).encode()


def _jsonable(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_jsonable(name, item) for item in value]
    if not isinstance(value, bytes):
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text and not name.endswith("_bytes") else {"b64": base64.b64encode(value).decode()}


def _rpc_body(name: str, signature: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in arrays.items():
        tensor_proto.encode(value, request.inputs[key])
    encoded: bytes = request.SerializeToString()
    return encoded


def _parsed(body: bytes, declared: Signature) -> dict[str, np.ndarray]:
    """The tensors of a JSON body, as the REST API reads them."""
    try:
        return tensor_json.from_body(json.loads(body), declared.dtypes)[0]
    except ValueError as error:
        raise InvalidArgument(f"The body is no JSON.\nExpected: an object\nReceived: {error}") from error
