"""Try again while a server is away, and only then: an answer, also a bad one, is final."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from serving.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")
ATTEMPTS = 4
FIRST_PAUSE_S = 0.1


def retried(call: Callable[[float], Answer], timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> Answer:
    """The answer of a call that may find its server away.

    Args:
        call: Takes the seconds that are left.
        timeout_s: For all tries together.
        sleep: Waits some seconds.

    Raises:
        Unavailable: Four tries failed, or the time is up.
    """
    end = time.monotonic() + timeout_s
    for attempt in range(ATTEMPTS):
        try:
            return call(end - time.monotonic())
        except Unavailable:
            # Doubling, with jitter so that many clients do not come back at once.
            pause = FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            if attempt == ATTEMPTS - 1 or time.monotonic() + pause > end:
                raise
        sleep(pause)
    raise AssertionError("unreachable: the last try returns or raises")
