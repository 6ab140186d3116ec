"""When the next request is sent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from serving.loadtest.clock import Timer

if TYPE_CHECKING:
    from serving.loadtest.load import Load

LATE_S = 0.001  # a request sent later than this after it could be was sent behind schedule
_GRACE_S = 0.01  # for the timer of a request that is due just before the end


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


class Closed:
    """Each connection sends again as soon as it has its answer.

    Args:
        connections: All that may be used.
        load: What was asked for.
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

    def freed(self, connection: Connection, now: float) -> None:
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


class Open:
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

    def freed(self, connection: Connection, now: float) -> None:
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
