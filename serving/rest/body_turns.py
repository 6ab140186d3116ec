"""Large bodies that arrive at the same time are read in turns, so that a hundred of them cost others one piece's time.

The event loop reads all connections that have something, each as much as its buffer takes, before anything else has its
turn. Connections in the middle of a large body are therefore read a few at a time; the others' clients wait, as the
system's buffers are full. Who sends slowly loses its turn to the next one after a moment.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

_AT_ONCE = 2  # pieces of up to 256,000 bytes each, which is what uvloop reads at once: half a millisecond
_TURN_S = 0.001


class Reading(Protocol):
    """A connection."""

    @property
    def is_in_body(self) -> bool:
        """Whether much of a request's body is to come."""

    def hold(self, *, held: bool) -> None:
        """Reads nothing for now, or goes on."""


class BodyTurns:
    """Whose body is read now; used on one event loop."""

    def __init__(self) -> None:
        self._reading: dict[Reading, None] = {}
        self._waiting: dict[Reading, None] = {}  # in the order of their turns
        self._timer: asyncio.TimerHandle | None = None

    def touch(self, connection: Reading) -> None:
        """A connection brought a piece: in the middle of a body, the next one has its turn."""
        if connection in self._reading and not self._waiting:
            return
        if connection in self._reading or connection.is_in_body:
            self._wait(connection)
            self._go_on()

    def remove(self, connection: Reading) -> None:
        """A connection is closed."""
        self._reading.pop(connection, None)
        self._waiting.pop(connection, None)
        self._go_on()

    def _wait(self, connection: Reading) -> None:
        self._reading.pop(connection, None)
        if connection.is_in_body:
            connection.hold(held=True)
            self._waiting[connection] = None

    def _go_on(self) -> None:
        while self._waiting and len(self._reading) < _AT_ONCE:
            connection = next(iter(self._waiting))
            del self._waiting[connection]
            if connection.is_in_body:
                self._reading[connection] = None
            connection.hold(held=False)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TURN_S, self._pass_on)

    def _pass_on(self) -> None:
        """Those that brought nothing in their time wait again."""
        self._timer = None
        if self._waiting:
            for connection in list(self._reading):
                self._wait(connection)
        self._go_on()
