"""One call under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from serving.errors import Code
from serving.loadtest import frames, headers

if TYPE_CHECKING:
    from serving.loadtest.connection import Connection
    from serving.loadtest.headers import Fields

_PREFIX = 5  # bytes before a message: whether it is compressed, and its length
_OF_RESET = {
    frames.REFUSED_STREAM: Code.UNAVAILABLE,
    frames.CANCEL: Code.CANCELLED,
    frames.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    frames.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}  # https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors


class Asker(Protocol):
    """Who waits for the answer."""

    def ended(self, error: str, message: str, received: int) -> None:
        """The call is over."""


def prefixed(message: bytes) -> bytes:
    """A message as gRPC sends it."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Stream:
    """A call, from asking to its end; a call that no server has seen may change its connection.

    Args:
        asker: Is told the end.
        deadline: When to give up, on the clock of `time.monotonic`.

    Attributes:
        connection: Where it was sent; None while it waits.
        number: Its number there.
        left: Bytes of the request that were not sent yet.
        window: Bytes of the request that the peer takes now.
        http: The answer's HTTP status; 0 while there is none.
        received: Bytes of the answer, with the prefix.
        granted: Bytes of the answer that the peer was given anew.
        refusals: How often a server refused to look at it.
        over: Whether the asker was told.
    """

    __slots__ = (
        *("asker", "connection", "deadline", "granted", "http", "left", "number", "over", "received", "refusals"),
        *("start", "window"),
    )

    def __init__(self, asker: Asker, deadline: float) -> None:
        self.asker = asker
        self.deadline = deadline
        self.connection: Connection | None = None
        self.number = self.left = self.window = 0
        self.http = self.received = self.granted = 0
        self.start = b""
        self.refusals = 0
        self.over = False

    def take(self, data: bytes) -> None:
        """A part of the answer: counted, and forgotten."""
        if self.received < _PREFIX:
            self.start += data[: _PREFIX - self.received]
        self.received += len(data)

    @property
    def size(self) -> int:
        """Bytes of the answer's message."""
        return max(self.received - _PREFIX, 0)

    def outcome(self, fields: Fields) -> tuple[str, str]:
        """Name of the error, empty for none, and its text, by the trailers."""
        code = headers.of_http(fields.http or self.http) if fields.code is None else fields.code
        if code is not Code.OK:
            return code.name, fields.message
        if len(self.start) < _PREFIX or self.size != int.from_bytes(self.start[1:], "big"):
            return Code.INTERNAL.name, f"an answer of {self.received} bytes that is no message"
        return "", ""

    def reset(self, reason: int) -> tuple[str, str]:
        """Name and text of the error, by the reason of a RST_STREAM."""
        code = _OF_RESET.get(reason, Code.INTERNAL)
        if code is Code.CANCELLED and time.monotonic() >= self.deadline:
            code = Code.DEADLINE_EXCEEDED  # the server gave up a moment before this process did
        return code.name, f"reset by the server, reason {reason}"
