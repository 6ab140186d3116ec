"""HTTP/1.1 on a socket: parse requests, hand them to the application, write the answers in order.

A connection keeps the requests that a client sends ahead (pipelining) in a queue and stops reading when that
is long, so a fast sender costs no memory. A client that hangs up costs the one answer that is being computed; one
that is slow to send loses its connection, but never somebody else's.
"""

# ruff: noqa: D102 - httptools and asyncio name the callbacks

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from serving.rest.message import Request, Response, head

if TYPE_CHECKING:
    from serving.rest.connections import Connections

_QUEUE = 16  # requests read ahead
_MAX_HEAD = 1 << 16  # bytes of request line and headers
_PATIENCE_S = 60.0  # for a request's head
_SLOWEST = 1024.0  # bytes of its body per second


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._transport: asyncio.Transport
        self._busy = False  # a request is being answered
        self._writable = True
        self._closed = False
        self._last = False  # no further request is read
        self._held = 0  # bytes taken from the server's budget, for all requests of this connection
        self._keep_alive = True
        self._is_head = False
        self._began = math.inf  # when the request that is being read began
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._body: list[bytes] = []
        self._size = 0
        self._began = math.inf

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closed = True
        self._waiting.clear()
        if not self._busy:
            self._give_back()
        self._all.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._last = True  # no other protocol is spoken: the request is answered, the connection closed
        except httptools.HttpParserError as error:
            if not self._last:
                self.refuse(Response(400, str(error).encode(), "text/plain"))

    def eof_received(self) -> bool:
        """A client may close its side and still read: keep ours open while an answer is due."""
        self._last = True
        return self._busy

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if not self._busy:
            self._next()

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._began = time.monotonic()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        refusal = self._all.refusal(method, self._url, self._headers)
        if refusal:
            self._stop(refusal)
        length = self._headers.get("content-length", "")
        self._take(int(length) if length.isdigit() else 0)
        if self._headers.get("expect", "").lower() == "100-continue" and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._size += len(body)
        if "content-length" not in self._headers:
            self._take(len(body))

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        path = self._url.decode("utf-8", "surrogateescape")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._waiting.append((Request(method, path, self._headers, body), self._parser.should_keep_alive()))
        self._reset()
        if len(self._waiting) >= _QUEUE:
            self._transport.pause_reading()
        if not self._busy:
            self._next()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MAX_HEAD:
            self._stop(Response(431, b"", ""))

    def _take(self, size: int) -> None:
        """Hold so many bytes more of the server's memory."""
        refusal = self._all.take(size, self._size)
        if refusal:
            self._stop(refusal)
        self._held += size

    def _give_back(self) -> None:
        self._all.give(self._held)
        self._held = 0

    def _stop(self, response: Response) -> None:
        """Refuse the request that is being read; the parser reports the error and reads no further."""
        self.refuse(response)
        raise _RefusedError

    # Answers, one after the other.

    def _next(self) -> None:
        if not self._waiting or self._closed or not self._writable:
            return
        self._busy = True
        request, self._keep_alive = self._waiting.popleft()
        self._is_head = request.method == "HEAD"
        if len(self._waiting) < _QUEUE:
            self._transport.resume_reading()
        self._all.handle(request, self._answered)

    def _answered(self, response: Response) -> None:
        self._busy = False
        if self.idle:
            self._give_back()
        if self._closed:
            self._give_back()
            return
        ending = (self._last or self._all.draining) and not self._waiting
        keep = self._keep_alive and not ending
        body = b"" if self._is_head else response.body
        self._transport.write(head(response, int(time.time()), keep_alive=keep) + body)
        if keep:
            self._next()
        else:
            self._last = True
            self._waiting.clear()
            self._transport.close()

    def refuse(self, response: Response) -> None:
        """Say why no further request is taken, unless an answer is due before it, and close."""
        self._last = True
        self._reset()
        if not self._busy and not self._closed:
            self._transport.write(head(response, int(time.time()), keep_alive=False) + response.body)
            self._transport.close()

    @property
    def idle(self) -> bool:
        """Whether no answer is due and no request is half read."""
        return not self._busy and not self._waiting and self._began == math.inf

    def is_too_slow(self, now: float) -> bool:
        """Whether the client takes longer to send a request than anyone needs who means to."""
        return now - self._began > _PATIENCE_S + self._size / _SLOWEST

    def close(self) -> None:
        """Close when what was written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()


class _RefusedError(Exception):
    """Ends the parser's turn."""
