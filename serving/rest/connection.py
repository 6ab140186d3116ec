"""HTTP/1.1 on a socket: parse requests, hand them to the application in threads, write answers in order.

A connection keeps the requests that a client sends ahead (pipelining) in a queue and stops reading when that
is long, so a fast sender costs no memory; a client that hangs up costs the one answer that is being
computed.
"""

# ruff: noqa: D102 - httptools and asyncio name the callbacks

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools

from serving.rest.application import Request, Response

if TYPE_CHECKING:
    from concurrent.futures import Executor

_QUEUE = 16  # requests read ahead
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}
Answer = Callable[[Request], Response]


class Connections:
    """All open connections of a server, for the drain."""

    def __init__(self, answer: Answer, executor: Executor) -> None:
        self.answer = answer
        self.executor = executor
        self.open: set[Connection] = set()
        self.closed = asyncio.Event()
        self.draining = False

    def protocol(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    async def drain(self) -> None:
        """Close each connection as soon as it has nothing left to answer."""
        self.draining = True
        for connection in list(self.open):
            connection.close_if_idle()
        while self.open:
            self.closed.clear()
            await self.closed.wait()

    def abort(self) -> None:
        """Close all at once."""
        for connection in list(self.open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False
        self._last = False
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._all.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closed = True
        self._waiting.clear()
        self._writable.set()
        self._all.open.discard(self)
        self._all.closed.set()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._last = True  # no other protocol is spoken: the request is answered, the connection closed
        except httptools.HttpParserError as error:
            self._refuse(str(error))

    def eof_received(self) -> bool:
        """A client may close its side and still read: keep ours open while an answer is due."""
        self._last = True
        return self._task is not None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools calls these.

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and not self._task:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        path = self._url.decode("utf-8", "surrogateescape")
        request = Request(method, path, self._headers, b"".join(self._body))
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._reset()
        if len(self._waiting) >= _QUEUE:
            self._transport.pause_reading()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    # Answers, one after the other.

    async def _work(self) -> None:
        try:
            while self._waiting and not self._closed:
                await self._answer_next()
        finally:
            self._task = None
        if self._last or self._all.draining:
            self._transport.close()

    async def _answer_next(self) -> None:
        request, keep_alive = self._waiting.popleft()
        if len(self._waiting) < _QUEUE and not self._closed:
            self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._all.executor, self._all.answer, request)
        if self._closed:
            return
        ending = (self._last or self._all.draining) and not self._waiting
        keep = keep_alive and not ending
        self._transport.write(head(response, keep_alive=keep) + (b"" if request.method == "HEAD" else response.body))
        if not keep:
            self._waiting.clear()
            self._last = True
        await self._writable.wait()

    def _refuse(self, text: str) -> None:
        """Not HTTP: say so, unless an answer is due before it, and close."""
        self._last = True
        if self._task is None:
            response = Response(400, text.encode(), "text/plain")
            self._transport.write(head(response, keep_alive=False) + response.body)
            self._transport.close()

    def close_if_idle(self) -> None:
        """Close, unless an answer is being computed or a request is half read."""
        if self._task is None and not self._url:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()


def head(response: Response, *, keep_alive: bool) -> bytes:
    """Status line and headers of an answer."""
    kind = f"Content-Type: {response.content_type}\r\n" if response.content_type else ""
    close = "" if keep_alive else "Connection: close\r\n"
    reason = _REASONS.get(response.status, "")
    date = formatdate(usegmt=True)
    return (
        f"HTTP/1.1 {response.status} {reason}\r\n{kind}Date: {date}\r\n"
        f"Content-Length: {len(response.body)}\r\n{close}\r\n"
    ).encode("ascii")
