"""The steps of a call to a server, its deadline, and its retries.

A call is tried again while the server is away, and only then: an answer, also a bad one, is final. What a model is to
be run on is not sent again when the connection broke: the server may have died of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from serving.client.errors import ConnectionLost
from serving.errors import DeadlineExceeded, Unavailable

T = TypeVar("T")
ATTEMPTS = 4
FIRST_PAUSE_S = 0.1


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request that is ready to be sent.

    Attributes:
        path: Path of the URL behind the address, or full name of the RPC.
        body: What is sent; None for a GET.
        read: Makes the result of a good answer's bytes; raises `ServingError`.
        repeatable: Whether sending it twice does what sending it once does.
        runs_model: Whether a model is run on what is sent, which may be what ends a server.
    """

    path: str
    body: bytes | None
    read: Callable[[bytes], T]
    repeatable: bool = True
    runs_model: bool = False


@dataclass(frozen=True)
class Send:
    """Step: send a call and come back with the bytes of the answer, or throw a `ServingError`.

    Attributes:
        path: Where to.
        body: What.
        timeout_s: How long this may take.
        allowed_s: How long the caller waits, for all steps together.
    """

    path: str
    body: bytes | None
    timeout_s: float
    allowed_s: float


@dataclass(frozen=True)
class Pause:
    """Step: wait."""

    seconds: float


# Yields its steps, takes the answers, returns the result; sync and async clients drive the same ones.
Flow = Generator[Send | Pause, bytes, T]


class Transport(Protocol):
    """Sends calls over its own connections; thread-safe."""

    def send(self, step: Send) -> bytes:
        """The bytes of a good answer.

        Raises:
            Unavailable: No connection, or the server says so.
            DeadlineExceeded: No answer in time.
            ServingError: The server's answer is an error.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class AsyncTransport(Protocol):
    """As `Transport`, in the running event loop."""

    async def send(self, step: Send) -> bytes:
        """As `Transport.send`."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Deadline:
    """The end of a whole conversation: every try and pause counts.

    Args:
        seconds: How long from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until the end; negative behind it."""
        return self._end - time.monotonic()

    def timeout_s(self) -> float:
        """Seconds that the next step may take.

        Raises:
            DeadlineExceeded: There are none.
        """
        if self.left_s <= 0:
            raise DeadlineExceeded(
                f"The {self.seconds:g} s of this call are over before it could be sent.\n"
                f"Expected: time for another request\n"
                f"Received: timeout_s={self.seconds:g}\n"
                f"Next: pass a larger timeout_s"
            )
        return self.left_s


def send_with_retries(call: Call[T], deadline: Deadline, attempts: int = ATTEMPTS) -> Flow[T]:
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
        except Unavailable as error:
            if call.runs_model and isinstance(error, ConnectionLost):
                raise  # the next process should not meet what may have ended this one
            if not call.repeatable or attempt >= attempts - 1 or pause_s > deadline.left_s:
                raise
        else:
            return call.read(answer)
        yield Pause(pause_s)
    raise AssertionError("unreachable: the last try returns or raises")
