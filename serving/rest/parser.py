"""Parses a client's bytes to HTTP requests, within limits, budget and token; knows no sockets."""

# ruff: noqa: D102 - httptools names the callbacks

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import httptools

from serving.errors import Code
from serving.wire import json_writer, openai_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.core.cost import Refusals
    from serving.rest.streaming import BodyStream

    Leave = Callable[[], None]


PROBES = frozenset({b"/healthz", b"/readyz"})
_HABIT = 1 << 10  # bytes
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})  # methods whose body nobody reads
PIECE = 1 << 12  # bytes to feed at a time: they hold a hundred requests, or a few hundred chunks, at most
_MAX_HEAD = 1 << 16  # bytes of request line and headers
_HEADER_COST = 32  # bytes that a header takes in addition to its text
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}


@dataclass(slots=True)
class ReceivedRequest:
    """A request that was read.

    Attributes:
        request: The parsed request.
        keep_alive: Whether the client keeps its connection open.
        version: Of HTTP, such as `1.1`.
        held: Bytes that are held of the server's budget until it is answered.
    """

    request: Request
    keep_alive: bool
    version: str
    held: int


class Refusal(NamedTuple):
    """Why a request is not read to its end: status of HTTP, text, code of gRPC, and headers as of `Response`."""

    status: int
    text: str
    code: Code
    headers: str = ""


class Limits(Protocol):
    """What a server takes of its clients (`serving.rest.server`)."""

    def refusal(self, method: str, path: bytes, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is turned away before its body is read; None where it is not."""

    def take(self, size: int, total: int) -> Refusal | None:
        """Hold bytes of a request; why not, where they are too many."""

    def give(self, size: int) -> None:
        """Hold bytes no longer."""


class Connections(Limits, Protocol):
    """All connections of a server (`serving.rest.server`)."""

    draining: bool
    refusals: Refusals

    def add(self, connection: Any) -> None:
        """A client came."""

    def touch(self, connection: Any) -> None:
        """A client sent something."""

    def remove(self, connection: Any) -> None:
        """A client left."""

    def handle(self, request: Request, reply: Callable[[Response], None]) -> Leave | None:
        """Answer a request; returns what is to be called if the client leaves before it has its answer."""

    def with_headers(self, response: Response) -> Response:
        """An answer with the lines that all get."""


class RequestReader:
    """Reads the requests of one connection.

    Args:
        limits: Checks of the token and of the memory budget.
        received: Takes each request that is complete.

    Attributes:
        upgraded: Whether the client speaks another protocol from now on.
        began: When the request that is being read began; infinite between requests.
        size: Bytes of its body so far.
        body_left: Bytes of its body that are to come, where their number was announced; they are one event.
        owes_continue: Whether the client waits for a `100 Continue` before it sends the body.
    """

    def __init__(self, limits: Limits, received: Callable[[ReceivedRequest], None]) -> None:
        self._limits = limits
        self._received = received
        self._parser = httptools.HttpRequestParser(self)
        self._refusal: Response | None = None
        self._held = 0
        self.upgraded = False
        self.reset()

    def reset(self) -> None:
        """Forget the request that is being read."""
        if self._held:
            self._limits.give(self._held)
        self._held = self._head_size = self._silent = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._in_body = self._bodiless = False
        self._body = io.BytesIO()  # gives its bytes without a copy, and takes no more than they do
        self.owes_continue = False
        self.size = self.body_left = 0
        self.began = math.inf

    def feed(self, piece: bytes | memoryview) -> Response | None:
        """Read on; an answer where nothing further can be read."""
        self._silent += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self.upgraded = True
        except httptools.HttpParserError as error:
            return self._refusal or Response(400, str(error).encode(), "text/plain")
        # A header, trailer or chunk extension without an end is kept by the parser, which reports nothing.
        return Response(431, b"", "") if self._silent > _MAX_HEAD + PIECE else None

    def close(self) -> None:
        """Reads no more; the parser and its reader hold each other, and a search for garbage stops all requests."""
        del self._parser

    # httptools calls these.

    def on_message_begin(self) -> None:
        self.began = time.monotonic()
        self._silent = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + _HEADER_COST)
        if not self._in_body:  # a trailer may not change how the request is read
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_body, self._silent = True, 0
        method = self._parser.get_method().decode("ascii")
        self._deny(self._limits.refusal(method, self._url, self._headers))
        length = self._headers.get("content-length", "")
        announced = int(length) if length.isdigit() else 0
        self._bodiless = method in _BODILESS or self._url in PROBES
        expects = self._headers.get("expect", "").lower() == "100-continue"
        self._check_body(announced)
        if expects or announced > PIECE:  # what can never fit is turned away at once; others as soon as they are here
            self._deny(self._limits.take(announced, 0))
            self._limits.give(announced)  # and what fits is held when it has arrived
        self.body_left = 0 if "transfer-encoding" in self._headers else announced
        self.owes_continue = expects and self._parser.get_http_version() == "1.1"

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        self.owes_continue = False
        self._check_body(len(body))
        self._body.write(body)
        self.size += len(body)
        self.body_left = max(0, self.body_left - len(body))
        self._take(len(body))

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        path = self._url.decode("utf-8", "surrogateescape")
        request = Request(method, path, self._headers, self._body.getvalue())
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        received = ReceivedRequest(request, keep_alive, self._parser.get_http_version(), self._held)
        self._held = 0
        self.reset()
        self._received(received)

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MAX_HEAD:
            self._check(Response(431, b"", ""))

    def _check_body(self, size: int) -> None:
        """Refuse the body of a request that has none, such as a probe; what a client sends by habit is let through."""
        if self._bodiless and self.size + size > _HABIT:
            self._check(Response(413, b"", ""))

    def _take(self, size: int) -> None:
        """Hold so many bytes more of the server's memory."""
        self._deny(self._limits.take(size, self.size))
        self._held += size

    def _deny(self, refusal: Refusal | None) -> None:
        """End the parser's turn with a refusal, if there is one, in the form that the client reads."""
        if refusal is None:
            return
        if not openai_errors.is_openai_request(self._url.decode("utf-8", "replace"), self._headers):
            self._check(Response(refusal.status, json_writer.error_body(refusal.text), headers=refusal.headers))
        later = "Retry-After: 1\r\n" if refusal.code is Code.RESOURCE_EXHAUSTED else ""
        body = openai_errors.refusal_body(refusal.text, refusal.code)
        self._check(Response(refusal.status, body, headers=refusal.headers + later))

    def _check(self, refusal: Response) -> None:
        """End the parser's turn with a refusal."""
        self._refusal = refusal
        raise _RefusedError


class _RefusedError(Exception):
    """Ends the parser's turn."""


@dataclass(slots=True)  # one for each request: a frozen one takes three times as long to make
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


@dataclass(slots=True)  # as above
class Response:
    """An HTTP answer.

    Attributes:
        status: Such as 200.
        body: As it is sent.
        content_type: Empty where there is no body.
        headers: Further lines, each ending in a line break.
        stream: Gives the body piece by piece, in place of `body`.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: str = ""
    stream: BodyStream | None = None


def response_head(response: Response, second: int, *, keep_alive: bool, chunked: bool = True) -> bytes:
    """Status line and headers of an answer.

    Args:
        response: The answer.
        second: The time, in seconds since 1970.
        keep_alive: Whether the connection stays open.
        chunked: Whether a body whose length is not known is sent in chunks; else the connection's end is its end.
    """
    length = f"Content-Length: {len(response.body)}\r\n"
    if response.stream:
        length = "Transfer-Encoding: chunked\r\n" if chunked else ""
    kind = f"Content-Type: {response.content_type}\r\n" if response.content_type else ""
    close = "" if keep_alive else "Connection: close\r\n"
    return (
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n{kind}Date: {_http_date(second)}\r\n"
        f"{length}{response.headers}{close}\r\n"
    ).encode("latin-1")


@lru_cache(maxsize=2)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
