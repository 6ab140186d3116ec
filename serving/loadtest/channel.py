"""Calls to one server: one connection at a time, connected again when the server has closed it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serving.errors import Code, InvalidArgument
from serving.loadtest import headers
from serving.loadtest.connection import Connection
from serving.loadtest.stream import Stream, prefixed

if TYPE_CHECKING:
    from serving.loadtest.stream import Asker
    from serving.loadtest.target import Target

_PAUSE_S = 0.05  # before a refused connection is tried again
_MOMENT_S = 0.002  # before a refused call is sent again, and twice as long each time
_REFUSALS = 5
_UNIX = "unix:"


class Channel:
    """Sends a target's request; as many at a time as the server allows, the others wait.

    Args:
        target: What is sent, and where.

    Raises:
        InvalidArgument: The address is none.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._host, self._port = _place(target.address)
        authority = target.address if self._port else "localhost"
        self._block = headers.request(target, authority)
        self._body = prefixed(target.body)
        self._streams: dict[Stream, None] = {}  # all that are not over, in the order of their deadlines
        self._waiting: deque[Stream] = deque()
        self._connection: Connection | None = None
        self._connections: set[Connection] = set()  # with those that a server is leaving
        self._opening: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Connect, and try again until the target's timeout; the calls that share this channel may all ask for it.

        Raises:
            OSError: Nobody listens, or nobody who speaks HTTP/2.
        """
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        await self._opening

    def send(self, asker: Asker) -> None:
        """Send the request."""
        stream = Stream(asker, time.monotonic() + self._target.timeout_s)
        self._streams[stream] = None
        if self._timer is None:
            self._set_timer()
        if self._connection is not None and not self._waiting and self._connection.free:
            self._connection.start(stream)
        else:
            self._waiting.append(stream)
            self._start_waiting()

    def close(self) -> None:
        """Close; nobody hears of the calls under way."""
        for task in (self._opening, self._connecting):
            if task is not None:
                task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._streams.clear()
        self._waiting.clear()
        for connection in list(self._connections):
            connection.close()

    # The connection calls these.

    def ended(self, stream: Stream, error: str, message: str) -> None:
        """A stream has its answer."""
        stream.over = True
        self._streams.pop(stream, None)
        stream.asker.ended(error, message, stream.size)
        if self._waiting:
            self._start_waiting()

    def refused(self, stream: Stream) -> None:
        """Send a stream again that the server has not looked at, a moment later.

        gRPC's servers refuse a stream too that starts right when another ended: they count that one still.
        """
        if stream.refusals == _REFUSALS:
            self.ended(stream, Code.UNAVAILABLE.name, f"refused {_REFUSALS + 1} times by the server")
            return
        asyncio.get_running_loop().call_later(_MOMENT_S * 2**stream.refusals, self._send_again, stream)
        stream.refusals += 1
        stream.connection = None

    def changed(self, connection: Connection) -> None:
        """More streams may be free; or a connection takes none any more."""
        if not connection.open and self._connection is connection:
            self._connection = None
        if self._waiting:
            self._start_waiting()

    def _send_again(self, stream: Stream) -> None:
        if stream in self._streams:  # neither late by now, nor is the channel closed
            self._waiting.appendleft(stream)
            self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting:
            if self._connection is not None and not self._connection.open:
                self._connection = None
            if self._connection is None:
                self._connect()
                return
            if not self._connection.free:
                return
            stream = self._waiting.popleft()
            if not stream.over:
                self._connection.start(stream)

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect_and_start())

    async def _connect_and_start(self) -> None:
        try:
            self._connection = await self._connected()
        except OSError as error:
            # A refused connection is told after a pause, or a closed loop would do nothing but connect.
            await asyncio.sleep(_PAUSE_S)
            self._connecting = None
            failed, self._waiting = self._waiting, deque()
            for stream in failed:
                if not stream.over:
                    self.ended(stream, Code.UNAVAILABLE.name, f"no connection: {error}")
        else:
            self._connecting = None
            self._start_waiting()

    async def _open(self) -> None:
        end = time.monotonic() + self._target.timeout_s
        while self._connection is None:
            try:
                self._connection = await self._connected(end - time.monotonic())
            except OSError as error:
                if time.monotonic() + _PAUSE_S >= end:
                    raise OSError(f"no gRPC server at {self._target.address}") from error
                await asyncio.sleep(_PAUSE_S)

    async def _connected(self, timeout_s: float | None = None) -> Connection:
        """A connection whose settings have come."""
        loop = asyncio.get_running_loop()
        connection = Connection(self._block, self._body, self)
        self._connections = {old for old in self._connections if not old.ended} | {connection}
        try:
            async with asyncio.timeout(self._target.timeout_s if timeout_s is None else timeout_s):
                if self._port:
                    await loop.create_connection(lambda: connection, self._host, self._port)
                else:
                    await loop.create_unix_connection(lambda: connection, self._host)
                if await connection.ready:
                    return connection
        except BaseException:
            connection.close()
            raise
        raise ConnectionResetError(f"no HTTP/2 at {self._target.address}")

    def _set_timer(self) -> None:
        """Ring at the first deadline: all have the same time, so that the oldest call is the first to be late."""
        first = next(iter(self._streams), None)
        if first is not None:
            delay = max(first.deadline - time.monotonic(), 0) + 0.001  # loops count whole milliseconds
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        now = time.monotonic()
        self._timer = None
        while (first := next(iter(self._streams), None)) is not None and first.deadline <= now:
            if first.connection is not None:
                first.connection.cancel(first)
            self.ended(first, Code.DEADLINE_EXCEEDED.name, f"no answer within {self._target.timeout_s:g} s")
        if self._timer is None:
            self._set_timer()


def _place(address: str) -> tuple[str, int]:
    """Host and port, or path and 0 of a UNIX socket."""
    if address.startswith(_UNIX):
        path = address.removeprefix(_UNIX)
        return path.removeprefix("//"), 0
    try:
        parts = urlsplit(f"//{address}")
        if parts.hostname and parts.port and parts.netloc == address:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise InvalidArgument(
        f"There is no gRPC server at this address.\nExpected: HOST:PORT or unix:/PATH\nReceived: {address}"
    )
