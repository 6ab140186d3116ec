"""Answer one HTTP request: routes and JSON, no sockets."""

from __future__ import annotations

import asyncio
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from serving.core import metadata
from serving.core.handler import RequestContext
from serving.errors import Code, ServingError, unexpected_error
from serving.rest import routes
from serving.rest.parser import PROBES, Request, Response
from serving.wire import json_long, json_tensors, json_writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from serving.core.handler import Answer, RequestHandler
    from serving.core.models import Models
    from serving.rest.handlers import RequestParser
    from serving.rest.parser import Leave

_PROBES = frozenset(path.decode() for path in PROBES)
_SMALL_BODY = 1 << 15  # bytes that are parsed on the event loop
_FEW_BYTES = 1 << 10  # of which no content takes more than a millisecond
_FEW_PARTS = 1 << 10  # values of JSON that are read on the event loop, even one by one
_SMALL_ROWS = 1 << 19  # bytes of nothing but numbers that are read on the event loop
_SOME_PARTS = 1 << 15  # numbers of them: those take less than a millisecond
_HTTP_STATUS = {
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
_OF_OPENAI = re.compile(r"\bx-stainless-[a-z-]+", re.ASCII)  # headers that OpenAI's clients add in a browser
_NOT_FOUND = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


class Extension(Protocol):
    """Answers requests that are not TensorFlow Serving's."""

    def fits(self, request: Request) -> bool:
        """Whether it answers a request."""

    def handle(self, request: Request, reply: Callable[[Response], None]) -> Leave | None:
        """Answers it by calling `reply` once; returns what ends the work if the client leaves."""


class Application:
    """Answers requests from the models; lives on one event loop.

    Args:
        models: What is served.
        handler: Runs the models.
        executor: Threads for pages and descriptions of models; no model runs in them.
        pages: Answers paths outside of the protocol, such as `/healthz`; None where there is no such page.
        monitoring_path: Path of one page that may lie within; None for none.
        parser: Reads the requests that run a model.
        timeout_seconds: How long a request may take.
        openai: Answers OpenAI's paths; None where there are none.
    """

    def __init__(
        self,
        models: Models,
        handler: RequestHandler,
        executor: Executor,
        pages: Callable[[str, str], Response | None],
        monitoring_path: str | None,
        parser: RequestParser,
        timeout_seconds: float = 30.0,
        openai: Extension | None = None,
    ) -> None:
        self._openai = openai
        self._models = models
        self._handler = handler
        self._executor = executor
        self._pages = pages
        self._monitoring_path = monitoring_path
        self._timeout_seconds = timeout_seconds
        self._parser = parser
        self._loop = asyncio.get_running_loop()

    def handle(self, request: Request, reply: Callable[[Response], None]) -> Leave | None:
        """Answers a request by calling `reply` once, now or later; returns what ends the work if the client leaves."""
        if self._openai and self._openai.fits(request):
            return self._openai.handle(request, reply)
        self._answer(request, reply)
        return None

    def _answer(self, request: Request, reply: Callable[[Response], None]) -> None:
        if request.path in _PROBES:
            reply(self._page(request))  # from what is in memory, whatever the threads do
        elif request.path == self._monitoring_path or not routes.is_api(request.path):
            self._executor.submit(self._show, request, reply)
        elif request.method == "OPTIONS":
            reply(_preflight(request))
        else:
            self._route(request, reply)

    def _show(self, request: Request, reply: Callable[[Response], None]) -> None:
        self._loop.call_soon_threadsafe(reply, self._page(request))

    def _page(self, request: Request) -> Response:
        try:
            return self._pages(request.method, request.path) or Response(404, _NOT_FOUND, "text/html")
        except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
            return error_response(unexpected_error(error, f"{request.method} {request.path}"))

    def _route(self, request: Request, reply: Callable[[Response], None]) -> None:
        try:
            target = routes.find_route(request.method, request.path)
        except ServingError as error:
            self._handler.refusals.send(error.code, reply, error_response(error))
            return
        if target.action in {"status", "metadata"}:
            self._executor.submit(self._describe, target, reply)
            return
        body, packed = request.body, "content-encoding" in request.headers
        fast_path = partial(self._parser.rows, target, body) if not packed and _are_quick_rows(body) else None
        context = RequestContext(
            "REST",
            target.action,
            target.spec.name,
            lambda answer: reply(_response(answer)),
            packed or _is_large(body),
            time.monotonic() + self._timeout_seconds,
        )
        read = partial(self._parser.read, target, request)
        self._handler.answer(context, read, fast_path)

    def _describe(self, target: routes.Route, reply: Callable[[Response], None]) -> None:
        self._loop.call_soon_threadsafe(reply, self._description(target))

    def _description(self, target: routes.Route) -> Response:
        try:
            if target.action == "status":
                return Response(200, _to_json(metadata.status_response(self._models, target.spec)))
            return Response(200, _metadata_json(metadata.metadata_response(self._models, target.spec)))
        except ServingError as error:
            return error_response(error)
        except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
            return error_response(unexpected_error(error, str(target)))


def _is_large(body: bytes) -> bool:
    """Whether a body is not read on the event loop."""
    return len(body) > _SMALL_BODY or (len(body) > _FEW_BYTES and json_long.measure(body).parts > _FEW_PARTS)


def _are_quick_rows(body: bytes) -> bool:
    """Whether a body seems to be rows of numbers, few enough for the event loop."""
    if not _FEW_BYTES < len(body) <= _SMALL_ROWS or json_tensors.match_signature(body) is None:
        return False
    return json_long.measure(body).parts <= _SOME_PARTS


def _preflight(request: Request) -> Response:
    """Answers a CORS preflight request; any origin is allowed."""
    origin = request.headers.get("origin", "")
    known = "http://" in origin or "https://" in origin
    names = sorted(set(_OF_OPENAI.findall(request.headers.get("access-control-request-headers", "").lower())))
    more = f"Access-Control-Allow-Headers: {', '.join(names)}\r\n" if names else ""
    return Response(200 if known else 400, b"", "", more)


def _response(answer: Answer) -> Response:
    return error_response(answer) if isinstance(answer, ServingError) else Response(200, answer)


def error_response(error: ServingError) -> Response:
    """The answer to a request that failed."""
    return Response(_HTTP_STATUS.get(error.code, 500), json_writer.error_body(error.message))


def _to_json(message: Any) -> bytes:
    from google.protobuf import json_format

    text = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=1
    )
    return f"{text}\n".encode()


def _metadata_json(response: Any) -> bytes:
    """The answer as upstream puts it together: the packed message without its type URL."""
    from serving.wire import protos

    signatures = protos.load("apis.get_model_metadata_pb2").SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return b'{\n"model_spec":%s,\n"metadata": {"signature_def": %s}\n}\n' % (
        _to_json(response.model_spec),
        _to_json(signatures),
    )
