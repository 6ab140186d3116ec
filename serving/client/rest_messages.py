"""Requests and answers of the REST API, as bytes; predict in its columnar format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import numpy as np

from serving.client import json_values
from serving.client import types as feature_values
from serving.client.calls import Call
from serving.client.errors import grpc_only_error, unreadable_error
from serving.client.types import Arrays, Classes, VersionStatus, read_signatures
from serving.errors import Code, ServingError, error_from_code
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.client.types import ModelRef
    from serving.core.signature import Signature

T = TypeVar("T")
FILLS_DEFAULTS = False
_OK = 200
_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


def predict(
    ref: ModelRef, signature: Signature, inputs: Arrays, outputs: Sequence[str] | None
) -> Call[dict[str, np.ndarray]]:
    """See `Codec`; the server computes all outputs, those not wanted are left out here."""
    columns = b",".join(
        b"%s:%s" % (json_values.json_string(name), json_values.encode(array, f"Input {name!r}"))
        for name, array in inputs.items()
    )
    body = b'{"signature_name":%s,"inputs":{%s}}' % (json_values.json_string(signature.name), columns)

    def read(document: Any) -> dict[str, np.ndarray]:
        answer = document["outputs"]
        named = answer if len(signature.outputs) > 1 else {next(iter(signature.outputs)): answer}
        if not isinstance(named, dict) or named.keys() != signature.outputs.keys():
            raise ValueError(f"outputs that are not {', '.join(signature.outputs)}")
        wanted = outputs or signature.outputs
        return {name: json_values.decode(named[name], signature.outputs[name], name) for name in wanted}

    return _make_call(f"{_model_path(ref)}:predict", body, read)


def classify(ref: ModelRef, signature: str, examples: Sequence[Any], context: Any) -> Call[Classes]:
    """See `Codec`."""

    def read(document: Any) -> Classes:
        return [[(_read_label(label), float(np.float32(score))) for label, score in row] for row in document["results"]]

    return _make_call(f"{_model_path(ref)}:classify", _examples_body(signature, examples, context), read)


def regress(ref: ModelRef, signature: str, examples: Sequence[Any], context: Any) -> Call[np.ndarray]:
    """See `Codec`."""

    def read(document: Any) -> np.ndarray:
        return np.array(document["results"], dtype=np.float32).reshape(-1)

    return _make_call(f"{_model_path(ref)}:regress", _examples_body(signature, examples, context), read)


def multi_inference(
    ref: ModelRef,  # noqa: ARG001 - the protocol's
    tasks: Mapping[str, str],  # noqa: ARG001
    examples: Sequence[Any],  # noqa: ARG001
    context: Any,  # noqa: ARG001
) -> Call[dict[str, Any]]:
    """See `Codec`; always Unimplemented."""
    raise grpc_only_error("several inferences in one request")


def metadata(ref: ModelRef) -> Call[dict[str, Signature]]:
    """See `Codec`."""

    def read(document: Any) -> dict[str, Signature]:
        from google.protobuf import json_format

        message = protos.load("apis.get_model_metadata_pb2").SignatureDefMap()
        signature_defs = document["metadata"]["signature_def"]
        try:
            return read_signatures(json_format.ParseDict(signature_defs, message, ignore_unknown_fields=True))
        except json_format.ParseError as error:
            raise ValueError(error) from error

    return _make_call(f"{_model_path(ref)}/metadata", None, read)


def status(ref: ModelRef) -> Call[list[VersionStatus]]:
    """See `Codec`."""

    def read(document: Any) -> list[VersionStatus]:
        versions = [
            VersionStatus(int(entry["version"]), entry["state"], entry["status"]["error_message"])
            for entry in document["model_version_status"]
        ]
        return sorted(versions, key=lambda entry: -entry.version)

    return _make_call(_model_path(ref), None, read)


def reload(config: Any) -> Call[None]:  # noqa: ARG001 - the protocol's
    """See `Codec`; always Unimplemented."""
    raise grpc_only_error("a new configuration")


def read_error(status_code: int, content: bytes, where: str) -> ServingError:
    """The error that an answer other than 200 means; its text is the server's."""
    text = content.decode("utf-8", "surrogateescape")
    try:
        message = json.loads(text, strict=False)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = (
            f"{where} answers with HTTP status {status_code}.\n"
            f"Expected: an answer of TensorFlow Serving's REST API\n"
            f"Received: {text[:200]!r}\n"
            f"Next: check the address, and the proxy before the server if there is one"
        )
    return error_from_code(_CODES.get(status_code, Code.UNKNOWN), str(message))


def is_good(status_code: int) -> bool:
    """Whether an answer carries a result."""
    return status_code == _OK


def _make_call(path: str, body: bytes | None, read: Callable[[Any], T]) -> Call[T]:
    def read_bytes(content: bytes) -> T:
        try:
            return read(json_values.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise unreadable_error(path, error) from error

    return Call(path, body, read_bytes, runs_model=body is not None)


def _model_path(ref: ModelRef) -> str:
    path = f"/v1/models/{quote(ref.name, safe='')}"
    if ref.label is not None:
        return f"{path}/labels/{quote(ref.label, safe='')}"
    return path if ref.version is None else f"{path}/versions/{ref.version}"


def _examples_body(signature: str, examples: Sequence[Any], context: Any) -> bytes:
    document: dict[str, Any] = {"signature_name": signature}
    if context is not None:
        document["context"] = json_values.json_features(feature_values.plain_features(context))
    document["examples"] = [json_values.json_features(feature_values.plain_features(example)) for example in examples]
    return json.dumps(document).encode()


def _read_label(text: str) -> str | bytes:
    """Text where it is any; what is not UTF-8 came through as surrogates."""
    content = text.encode("utf-8", "surrogateescape")
    return text if text.isprintable() or _is_text(content) else content


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
