"""One REST request to one answer; knows routes and JSON, no sockets."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.core import describe, infer, predict
from serving.errors import Code, InvalidArgument, ServingError
from serving.rest import route
from serving.wire import example_json, json_document, json_text, predictions, tensor_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.core.models import Models

_LOG = logging.getLogger("keraspipe.serving")
_MAX_INFLATED = 100 * 2**20  # bytes; upstream's limit
_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
_NOT_FOUND = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    Attributes:
        method: Such as `POST`.
        path: As sent, undecoded, with its query string.
        headers: By lower-case name.
        body: As sent.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """An HTTP answer; `content_type` is empty where there is no body."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Application:
    """Answers requests from the models; safe to call from several threads."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def answer(self, request: Request) -> Response:
        """The answer, whatever happens."""
        if not route.is_api(request.path):
            return Response(404, _NOT_FOUND, "text/html")
        if request.method == "OPTIONS":
            return _preflight(request)
        try:
            return Response(200, self._answer(request))
        except ServingError as error:
            return _failure(error)
        except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
            _LOG.exception("%s %s failed", request.method, request.path)
            return _failure(ServingError(f"{type(error).__name__}: {error}", Code.INTERNAL))

    def _answer(self, request: Request) -> bytes:
        found = route.of(request.method, request.path)
        if found.action == "status":
            return _as_json(describe.status(self._models, found.spec))
        if found.action == "metadata":
            return _metadata(describe.metadata(self._models, found.spec))
        if found.action == "predict":
            return self._predict(found, _document(request))
        return self._infer(found, _document(request))

    def _predict(self, found: route.Route, document: dict[str, Any]) -> bytes:
        name = _signature_name(document)
        with self._models.lease(found.spec) as (_, model):
            signature = model.signatures.get(name or predict.DEFAULT)
            if signature is None:
                raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
            if not signature.inputs:
                raise InvalidArgument(f"Failed to get input map for signature: {name}")
            inputs, by_row = tensor_json.from_body(document, signature.dtypes)
            outputs = predict.run(model, signature.name, inputs)
        return predictions.in_rows(outputs) if by_row else predictions.in_columns(outputs)

    def _infer(self, found: route.Route, document: dict[str, Any]) -> bytes:
        name = _signature_name(document)
        message = example_json.from_body(document)
        method = infer.CLASSIFY if found.action == "classify" else infer.REGRESS
        with self._models.lease(found.spec) as (_, model):
            task = infer.check(model, method, name)
            examples = infer.examples(message)
            [outputs] = infer.run(model, [task], examples)
        if method == infer.CLASSIFY:
            return example_json.classes(infer.classes(outputs, len(examples)))
        return example_json.values(infer.values(outputs, len(examples)))


def _document(request: Request) -> dict[str, Any]:
    document = json_document.loads(_inflated(request))
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {json_text.debug(document)} Is not object")
    return document


def _inflated(request: Request) -> bytes:
    """The body without its compression; empty where that fails or grows beyond the limit, as upstream."""
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return request.body
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(request.body, _MAX_INFLATED)
    except zlib.error:
        return b""
    return body if inflate.eof else b""


def _signature_name(document: dict[str, Any]) -> str:
    name = document.get("signature_name", predict.DEFAULT)
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {json_text.debug(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def _preflight(request: Request) -> Response:
    """A browser's question whether it may ask; any web origin may."""
    origin = request.headers.get("origin", "")
    known = "http://" in origin or "https://" in origin
    return Response(200 if known else 400, b"", "")


def _failure(error: ServingError) -> Response:
    return Response(_STATUS.get(error.code, 500), json_text.error(error.message))


def _as_json(message: Any) -> bytes:
    from google.protobuf import json_format

    text = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=1
    )
    return f"{text}\n".encode()


def _metadata(response: Any) -> bytes:
    """The answer as upstream puts it together: the packed message without its type URL."""
    from serving.wire import protos

    signatures = protos.load("apis.get_model_metadata_pb2").SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return b'{\n"model_spec":%s,\n"metadata": {"signature_def": %s}\n}\n' % (
        _as_json(response.model_spec),
        _as_json(signatures),
    )
