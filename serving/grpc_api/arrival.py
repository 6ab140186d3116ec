"""Messages on their way in: gRPC tells nothing of one before it is whole, and keeps its bytes meanwhile.

So what a call may have brought is counted by time. A message that is not whole after a moment holds what a fast client
could have sent since, up to the largest message that is taken. Where these bytes are more than the server has for them,
the call that has been under way for longest is refused.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc.aio

    from serving.core.work import MemoryBudget

_MOMENT_S = 0.05  # in which nearly all messages come whole
_STEP_S = 0.25
_STEP_BYTES = 8 * 2**20  # what a call may bring in that time: 32 MiB/s
_SLOWEST_S = 300.0  # for a whole message


class RefusedError(Exception):
    """A message took too long, and others need its place."""


class Arrivals:
    """Messages that are not whole yet; lives on one event loop.

    Args:
        budget: Bytes for all of them together.
        most: Bytes of one message at most.
    """

    def __init__(self, budget: MemoryBudget, most: int) -> None:
        self._budget, self._most = budget, most
        self._slow: dict[_Arrival, None] = {}  # whoever has been under way for longest is the first

    async def receive(self, context: grpc.aio.ServicerContext, *, patient: bool = True) -> bytes:
        """Returns the message of a call.

        Args:
            context: The call, which a handler of a stream gets.
            patient: Whether a message may take more than a moment.

        Raises:
            RefusedError: It takes too long.
        """
        arrival = _Arrival(self, patient=patient)
        try:
            body = await context.read()
        except asyncio.CancelledError:
            if arrival.refused:
                raise RefusedError from None
            raise
        finally:
            arrival.end()
        return body if isinstance(body, bytes) else b""

    def hold(self, arrival: _Arrival) -> bool:
        """Holds a step more for a call; false where it has to go itself."""
        self._slow.setdefault(arrival)
        step = min(_STEP_BYTES, self._most - arrival.held)
        while not self._budget.take(step):
            oldest = next(iter(self._slow))
            if oldest is arrival:
                return False
            oldest.refuse()
        arrival.held += step
        return True

    def drop(self, arrival: _Arrival) -> None:
        """A call holds nothing any more."""
        self._slow.pop(arrival, None)
        self._budget.give(arrival.held)
        arrival.held = 0


class _Arrival:
    """One message on its way."""

    def __init__(self, arrivals: Arrivals, *, patient: bool) -> None:
        self.held, self.refused = 0, False
        self._arrivals, self._patient = arrivals, patient
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(_MOMENT_S, self._wait)

    def _wait(self) -> None:
        late = self._loop.time() - self._began > _SLOWEST_S
        if self._patient and not late and self._arrivals.hold(self):
            self._timer = self._loop.call_later(_STEP_S, self._wait)
        else:
            self.refuse()

    def refuse(self) -> None:
        """Waits no longer."""
        self.refused = True
        self.end()
        if self._task:
            self._task.cancel()

    def end(self) -> None:
        """The message is whole, or nobody waits for it."""
        self._timer.cancel()
        self._arrivals.drop(self)
