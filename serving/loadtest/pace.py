"""When the next request is sent: the open and the closed loop, and a timer that is right to a tenth of a millisecond.

Timers of event loops count whole milliseconds (libuv, epoll): at 5,000 requests a second five would leave at once.
Linux' timerfd counts nanoseconds and is a file that a loop can watch.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.loadtest.target import Load


LATE_S = 0.001  # a request sent later than this after it could be was sent behind schedule
_GRACE_S = 0.01  # for the timer of a request that is due just before the end
_CLOCK_MONOTONIC = 1  # the clock of time.monotonic
_ABSOLUTE = 1


class Connection(Protocol):
    """A connection to the server, over REST or gRPC.

    Attributes:
        due: When its request was due, by the loop's clock.
        received: Bytes of the answers so far.
    """

    due: float
    received: int

    async def open(self) -> None:
        """Connect."""

    def ask(self) -> None:
        """Send the next request."""

    def expire(self, now: float) -> None:
        """Give up a request that takes too long."""

    async def close(self) -> None:
        """Disconnect."""


class ClosedLoop:
    """Each connection sends again as soon as it has its answer.

    Args:
        connections: All that may be used.
        load: The requested load.
        start: When sending begins, on the clock of `time.monotonic`.
        end: When it ends.

    Attributes:
        under_way: Requests without an answer yet.
        stopped: Send no more.
        waited: Requests that were due while no connection was free; always 0 here.
        behind: Requests that were sent late by the generator's own fault; always 0 here.
    """

    def __init__(self, connections: list[Connection], load: Load, start: float, end: float) -> None:  # noqa: ARG002
        self._connections = connections
        self._end = end
        self.under_way = 0
        self.stopped = False
        self.waited = 0
        self.behind = 0

    def start(self) -> None:
        """Send the first request of each."""
        for connection in self._connections:
            self._send(connection, time.monotonic())

    def release(self, connection: Connection, now: float) -> None:
        """A connection has its answer."""
        self.under_way -= 1
        if now < self._end and not self.stopped:
            self._send(connection, now)

    def send_due(self) -> None:
        """Nothing is ever due before it is sent."""

    def unsent(self, since: float, end: float) -> list[float]:  # noqa: ARG002 - as in the open loop
        """Nothing is ever due before it is sent."""
        return []

    def close(self) -> None:
        """Nothing to give back."""

    def _send(self, connection: Connection, now: float) -> None:
        connection.due = now
        self.under_way += 1
        connection.ask()


class OpenLoop:
    """Requests are due at the times of a rate; each takes the connection that is free for longest.

    Where none is free the request waits, and its wait counts. The schedule itself is the queue: no memory grows
    with the backlog.

    Args:
        connections: All that may be used.
        load: Rate and spacing.
        start: When the first request is due, on the clock of `time.monotonic`.
        end: No request is sent that is due later, and none after it.

    Attributes:
        under_way: Requests without an answer yet.
        stopped: Send no more.
        waited: Requests of the counted part that were due while no connection was free.
        behind: Requests of the counted part that were sent late though a connection was free.
    """

    def __init__(self, connections: list[Connection], load: Load, start: float, end: float) -> None:
        self._free = deque(connections)
        self._schedule = load.due(start)
        self._next = next(self._schedule)
        self._counting_from = start + load.warmup_s
        self._end = end
        self._free_since = 0.0
        self._timer = Timer(asyncio.get_running_loop(), self.send_due)
        self.under_way = 0
        self.stopped = False
        self.waited = 0
        self.behind = 0

    def start(self) -> None:
        """Wait for the first request's time."""
        self._timer.set(self._next)

    def release(self, connection: Connection, now: float) -> None:
        """A connection has its answer."""
        self.under_way -= 1
        if not self._free:
            self._free_since = now
        self._free.append(connection)
        if self._next <= now:
            self.send_due()

    def unsent(self, since: float, end: float) -> list[float]:
        """When the requests were due that nobody could send any more."""
        due = []
        while self._next < end:
            if self._next >= since:
                due.append(self._next)
            self._next = next(self._schedule)
        return due

    def close(self) -> None:
        """Give the timer back."""
        self._timer.close()

    def send_due(self) -> None:
        """Send what is due, as far as connections are free."""
        now = time.monotonic()
        while self._free and self._may_send(now):
            self._send(self._free.popleft(), now)
            now = time.monotonic()
        if self._free and self._next < self._end and not self.stopped:
            self._timer.set(self._next)

    def _may_send(self, now: float) -> bool:
        in_time = self._next < self._end and now < self._end + _GRACE_S
        return self._next <= now and in_time and not self.stopped

    def _send(self, connection: Connection, now: float) -> None:
        connection.due = self._next
        self._next = next(self._schedule)
        if connection.due >= self._counting_from:
            self.waited += self._free_since > connection.due
            self.behind += now - max(connection.due, self._free_since) > LATE_S
        self.under_way += 1
        connection.ask()


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSetting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("at", _Timespec))


class Timer:
    """Calls a function at a time of `time.monotonic`; the loop's own timer where there is no timerfd.

    Args:
        loop: The loop that waits.
        call: What is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._handle: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
        create = getattr(self._libc, "timerfd_create", None)
        self._file = create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC) if create else -1
        if self._file >= 0:
            loop.add_reader(self._file, self._ring)

    def set(self, at: float) -> None:
        """Ring at a time, and no longer at an earlier set one; a time that is over rings at once."""
        if self._file < 0:
            self.clear()
            self._handle = self._loop.call_later(max(at - time.monotonic(), 0), self._call)
            return
        assert self._libc is not None
        seconds = int(at)
        setting = _TimerSetting(_Timespec(0, 0), _Timespec(seconds, int((at - seconds) * 1e9)))
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(setting), None)

    def clear(self) -> None:
        """Do not ring."""
        if self._handle:
            self._handle.cancel()

    def close(self) -> None:
        """Give the file back."""
        self.clear()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _ring(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # set anew between the ring and this call
            return
        self._call()
