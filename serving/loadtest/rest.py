"""One keep-alive connection that sends the same HTTP request again and again."""

# ruff: noqa: D102 - httptools and asyncio name the callbacks

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.loadtest.target import Target

_OK = 200
_PAUSE_S = 0.05  # before a refused connection is tried again


class RestConnection(asyncio.Protocol):
    """Carries one request at a time; connects again when the server has closed.

    Args:
        target: What is sent.
        tls: Whom to trust; None for no TLS.
        done: Called with this connection and the error, empty for none, when a request has ended.

    Attributes:
        due: When the request under way was due; the generator's.
        received: Bytes read.
    """

    def __init__(self, target: Target, tls: ssl.SSLContext | None, done: Callable[[RestConnection, str], None]) -> None:
        self._target = target
        self._tls = tls
        self._request = target.http()
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._busy = False
        self._asked = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.due = 0.0
        self.received = 0

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: Nobody listens, or nobody who speaks TLS where the target does.
        """
        loop = asyncio.get_running_loop()
        where = self._target
        connecting = loop.create_connection(lambda: self, where.host, where.port, ssl=self._tls)
        try:
            await asyncio.wait_for(connecting, where.connect_timeout_s)
        except TimeoutError as error:
            raise OSError(f"no connection in {where.connect_timeout_s:g} s") from error

    def ask(self) -> None:
        """Send the request."""
        self._busy = True
        self._asked = time.monotonic()
        if self._transport is None:
            task = asyncio.get_running_loop().create_task(self._open_and_ask())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._transport.write(self._request)

    async def _open_and_ask(self) -> None:
        try:
            await asyncio.wait_for(self.open(), self._target.timeout_s)
        except (OSError, TimeoutError) as error:
            # A refused connection is reported after a pause, or a closed loop would do nothing but connect.
            await asyncio.sleep(_PAUSE_S)
            self._end("timeout" if isinstance(error, TimeoutError) else "no connection")
        else:
            cast("asyncio.Transport", self._transport).write(self._request)

    def expire(self, now: float) -> None:
        """Give up a request that waits too long."""
        if self._busy and self._transport is not None and now - self._asked > self._target.timeout_s:
            self._drop()
            self._end("timeout")

    async def close(self) -> None:
        """Close, whatever is under way."""
        self._busy = False
        for task in self._tasks:
            task.cancel()
        self._drop()

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _end(self, error: str) -> None:
        if self._busy:
            self._busy = False
            self._done(self, error)

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._transport is not None and self._transport.is_closing():  # not one that was dropped for a new one
            self._transport = None
            self._end("connection closed")

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._drop()
            self._end("no HTTP")

    # httptools calls this one.

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self._drop()
        self._end("" if status == _OK else f"HTTP {status}")


def create_connections(target: Target, count: int, done: Callable[[RestConnection, str], None]) -> list[RestConnection]:
    """As many connections as requests may be under way.

    Raises:
        InvalidArgument: The address is no URL.
    """
    tls = create_tls_context(target)
    return [RestConnection(target, tls, done) for _ in range(count)]


def create_tls_context(target: Target) -> ssl.SSLContext | None:
    """The authorities to trust; None without TLS. Reading them takes milliseconds: once for all connections."""
    return ssl.create_default_context(cafile=target.ca or None) if target.tls else None
