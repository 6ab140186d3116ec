"""One question to a server, and the steps of a conversation that asks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from serving.errors import DeadlineExceeded

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request that is ready to be sent.

    Attributes:
        path: Path of the URL behind the address, or full name of the RPC.
        body: What is sent; None for a GET.
        read: Makes the result of a good answer's bytes; raises `ServingError`.
        repeatable: Whether sending it twice does what sending it once does.
    """

    path: str
    body: bytes | None
    read: Callable[[bytes], T]
    repeatable: bool = True


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
    """Carries calls over connections of its own; safe to use from several threads."""

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
