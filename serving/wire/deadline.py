"""A deadline for what a thread does: nothing is begun, or written to its end, that nobody waits for any more."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from serving.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
LATE_TEXT = "Timed out waiting for notification"
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def run_until(deadline: float, function: Callable[[], Result]) -> Result:
    """Calls a function that may call `check_deadline` between its pieces.

    Args:
        deadline: By `time.monotonic`.
        function: Reads a request, or writes an answer.

    Raises:
        DeadlineExceeded: The deadline has passed.
    """
    token = _deadline.set(deadline)
    try:
        check_deadline()
        return function()
    finally:
        _deadline.reset(token)


def check_deadline() -> None:
    """Is called between two pieces.

    Raises:
        DeadlineExceeded: The deadline of `run_until` has passed.
    """
    if time.monotonic() > _deadline.get():
        raise DeadlineExceeded(LATE_TEXT)
