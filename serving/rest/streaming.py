"""Writes a body that comes into being while it is sent, as fast as its client reads and no faster.

What the client has not read stays with the body's maker: nothing is taken while the transport's buffer is full. A
client of HTTP/1.0 knows no chunks; for it the connection's end is the body's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_PROBES_S = (0.0, 0.2, 1.0, 5.0)  # the first is answered by a reset if the client is gone, the second finds it
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"  # a client has to read over it


class BodyStream(Protocol):
    """A body that comes into being while it is sent; used on the event loop."""

    def start(self, wake: Callable[[], None]) -> None:
        """The answer's head is on its way; `wake` is to be called whenever there is something new to take."""

    def take(self) -> bytes | None:
        """What is there now, to be sent at once; empty where nothing is, None at the end."""

    def probe(self) -> bytes:
        """Bytes that change nothing, to learn whether the client is still there."""


class BodyWriter:
    """One streamed body on a connection.

    Args:
        transport: Where it is written.
        body: Gives the pieces.
        chunked: Whether pieces are sent as chunks.
        is_writable: Whether the transport takes more.
        ended: Called when all was written.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        body: BodyStream,
        *,
        chunked: bool,
        is_writable: Callable[[], bool],
        ended: Callable[[], None],
    ) -> None:
        self._transport, self._body = transport, body
        self._chunked, self._is_writable, self._ended = chunked, is_writable, ended
        self._has_ended = False

    def start(self) -> None:
        """Begin to take pieces."""
        self._body.start(self.write)
        self.write()

    def write(self) -> None:
        """Write what is there, as far as the client reads."""
        while not self._has_ended and self._is_writable():
            piece = self._body.take()
            if piece is None:
                self._end()
            elif piece:
                self._write_piece(piece)
            else:
                break

    def probe(self) -> None:
        """Write what changes nothing, to learn whether the client is there."""
        if not self._has_ended and self._is_writable():
            self._write_piece(self._body.probe())

    def _write_piece(self, piece: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def _end(self) -> None:
        self._has_ended = True
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self._ended()


def probe_at_times(loop: asyncio.AbstractEventLoop, probe: Callable[[], None]) -> None:
    """Calls a probe a few times."""
    for seconds in _PROBES_S:
        loop.call_later(seconds, probe)


def write_interim(transport: asyncio.Transport) -> None:
    """Writes an interim answer, as a probe before the head of the answer."""
    transport.write(_INTERIM)
