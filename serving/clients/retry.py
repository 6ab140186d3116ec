"""Try again while a server is away, and only then: an answer, also a bad one, is final."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from serving.clients.call import Pause, Send
from serving.errors import Unavailable

if TYPE_CHECKING:
    from serving.clients.call import Call, Deadline, Flow

T = TypeVar("T")
ATTEMPTS = 4
FIRST_PAUSE_S = 0.1


def retried(call: Call[T], deadline: Deadline, attempts: int = ATTEMPTS) -> Flow[T]:
    """The result of a call that may find its server away.

    Args:
        call: What to send; one that is not repeatable is sent once, as its first try may have arrived.
        deadline: For all tries and pauses together.
        attempts: How often to send at most.

    Raises:
        Unavailable: All tries failed, or the next pause would pass the deadline.
    """
    for attempt in range(max(attempts, 1)):
        # Doubling, with jitter so that many clients do not come back at once.
        pause_s = FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        try:
            answer = yield Send(call.path, call.body, deadline.timeout_s(), deadline.seconds)
        except Unavailable:
            if not call.repeatable or attempt >= attempts - 1 or pause_s > deadline.left_s:
                raise
        else:
            return call.read(answer)
        yield Pause(pause_s)
    raise AssertionError("unreachable: the last try returns or raises")
