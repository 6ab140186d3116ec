"""One HTTP/2 connection that carries the same gRPC call again and again, many at a time.

As little of RFC 9113 as such a client needs: a call costs three frames and one write.
"""

# ruff: noqa: D102 - asyncio names the callbacks

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

import hpack

from serving.errors import Code
from serving.loadtest import frames
from serving.loadtest.frames import ProtocolError
from serving.loadtest.headers import Decoder

if TYPE_CHECKING:
    from serving.loadtest.stream import Stream

WINDOW = 1 << 26  # bytes that the peer may send ahead, on each stream and on all
_LARGEST_BLOCK = 1 << 18


class Owner(Protocol):
    """Who starts streams."""

    def ended(self, stream: Stream, error: str, message: str) -> None:
        """A stream has its answer."""

    def refused(self, stream: Stream) -> None:
        """The server says that it has not looked at a stream."""

    def changed(self, connection: Connection) -> None:
        """More streams may be free; or this connection takes none any more."""


class Connection(asyncio.Protocol):
    """Sends one request on as many streams as the peer allows.

    Args:
        block: The request's headers.
        body: The request, with gRPC's prefix.
        owner: Hears of the ends.

    Attributes:
        ready: Whether the peer speaks HTTP/2; known when its settings have come.
    """

    def __init__(self, block: bytes, body: bytes, owner: Owner) -> None:
        self._block = frames.head(len(block), frames.HEADERS, frames.END_HEADERS, 0)[:5], block
        self._whole = block + frames.head(len(body), frames.DATA, frames.END_STREAM, 0)[:5]
        self._body = memoryview(body)
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._reader = frames.Reader()
        self._decoder = Decoder()
        self._streams: dict[int, Stream] = {}
        self._unsent: dict[int, Stream] = {}
        self._begun: tuple[int, int, bytes] | None = None  # a block whose continuation is missing
        self._next = 1
        self._most = frames.HIGHEST_STREAM
        self._largest = frames.LARGEST
        self._window = self._stream_window = frames.WINDOW
        self._granted = 0
        self._closing = False
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        """Whether new streams will be taken, now or later."""
        return not self._closing and self._next < frames.HIGHEST_STREAM

    @property
    def ended(self) -> bool:
        """Whether it is closed."""
        return self._closing and self._transport is None

    @property
    def free(self) -> bool:
        """Whether a stream may start now."""
        return len(self._streams) < self._most and self.open

    def start(self, stream: Stream) -> None:
        """Send the request; what the peer does not take yet, later."""
        assert self._transport is not None
        number = frames.number(self._next)
        stream.connection, stream.number, stream.window = self, self._next, self._stream_window
        self._streams[self._next] = stream
        self._next += 2
        head, block = self._block
        size = len(self._body)
        if size <= self._largest and size <= self._window and size <= self._stream_window:
            self._window -= size
            self._transport.write(b"".join((head, number, self._whole, number, self._body)))
            return
        self._transport.write(head + number + block)
        stream.left = size
        self._unsent[stream.number] = stream
        self._send_on()

    def cancel(self, stream: Stream) -> None:
        """Give up a stream."""
        self._write(frames.RST_STREAM, stream.number, frames.number(frames.CANCEL))
        stream.left = 0
        self._forget(stream)

    def close(self) -> None:
        """Close; nobody hears of the streams under way."""
        self._closing = True
        self._streams.clear()
        self._unsent.clear()
        if self._transport is not None:
            self._transport.abort()

    def _write(self, kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> None:
        if self._transport is not None:
            self._transport.write(frames.frame(kind, flags, stream, payload))

    def _send_on(self) -> None:
        """Send as much of the requests as the windows allow, the oldest first."""
        for stream in list(self._unsent.values()):
            while stream.left and self._window > 0 and stream.window > 0:
                self._send_piece(stream, min(stream.left, self._window, stream.window, self._largest))
            if not stream.left:
                del self._unsent[stream.number]

    def _send_piece(self, stream: Stream, size: int) -> None:
        start = len(self._body) - stream.left
        stream.left -= size
        stream.window -= size
        self._window -= size
        flags = 0 if stream.left else frames.END_STREAM
        head = frames.head(size, frames.DATA, flags, stream.number)
        assert self._transport is not None
        self._transport.writelines([head, self._body[start : start + size]])

    def _forget(self, stream: Stream) -> None:
        del self._streams[stream.number]
        self._unsent.pop(stream.number, None)
        if stream.left:  # answered before it was asked to the end
            self._write(frames.RST_STREAM, stream.number, frames.number(frames.NO_ERROR))
        if self._closing and not self._streams and self._transport is not None:
            self._transport.close()

    def _end(self, stream: Stream, outcome: tuple[str, str]) -> None:
        self._forget(stream)
        self._owner.ended(stream, *outcome)

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        wanted = {frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: WINDOW}
        more = frames.frame(frames.WINDOW_UPDATE, 0, 0, frames.number(WINDOW - frames.WINDOW))
        self._transport.write(frames.PREFACE + frames.frame(frames.SETTINGS, 0, 0, frames.settings(wanted)) + more)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._closing = True
        self._unsent.clear()
        lost, self._streams = list(self._streams.values()), {}
        if not self.ready.done():
            self.ready.set_result(False)
        self._owner.changed(self)
        for stream in lost:
            self._owner.ended(stream, Code.UNAVAILABLE.name, f"connection lost: {exc or 'closed by the server'}")

    def data_received(self, data: bytes) -> None:
        try:
            for kind, flags, number, payload in self._reader.frames(data):
                if self._begun is not None and kind != frames.CONTINUATION:
                    raise ProtocolError("a frame within a header block")  # noqa: TRY301 - one place ends all
                if kind == frames.DATA:
                    self._take_data(number, flags, payload)
                elif kind == frames.HEADERS:
                    self._take_headers(number, flags, payload)
                else:
                    self._take_other(kind, flags, number, payload)
        except (ProtocolError, hpack.HPACKError):
            self._closing = True
            if self._transport is not None:
                self._transport.abort()

    # Frames.

    def _take_data(self, number: int, flags: int, payload: bytes) -> None:
        self._granted = self._grant(0, self._granted + len(payload))
        stream = self._streams.get(number)
        if stream is None:  # given up
            return
        stream.take(frames.unpadded(payload, flags) if flags & frames.PADDED else payload)
        if flags & frames.END_STREAM:
            self._end(stream, (Code.INTERNAL.name, "an answer without trailers"))
        else:
            stream.granted = self._grant(number, stream.granted + len(payload))

    def _grant(self, number: int, taken: int) -> int:
        """Let the peer send as much again, when half of it was taken."""
        if taken < WINDOW // 2:
            return taken
        self._write(frames.WINDOW_UPDATE, number, frames.number(taken))
        return 0

    def _take_headers(self, number: int, flags: int, payload: bytes) -> None:
        block = frames.unpadded(payload, flags)
        if flags & frames.PRIORITY:
            block = block[5:]
        if flags & frames.END_HEADERS:
            self._take_block(number, flags, block)
        else:
            self._begun = number, flags, block

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._begun is None or self._begun[0] != number or len(self._begun[2]) > _LARGEST_BLOCK:
            raise ProtocolError("no header block that this continues")
        _, first, block = self._begun
        self._begun = number, first, block + payload
        if flags & frames.END_HEADERS:
            self._begun = None
            self._take_block(number, first, block + payload)

    def _take_block(self, number: int, flags: int, block: bytes) -> None:
        fields = self._decoder.read(block)  # also of a stream that was given up: it may change the table
        stream = self._streams.get(number)
        if stream is None:
            return
        if flags & frames.END_STREAM:
            self._end(stream, stream.outcome(fields))
        else:
            stream.http = fields.http

    def _take_other(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == frames.WINDOW_UPDATE:
            self._take_window(number, int.from_bytes(payload, "big"))
        elif kind == frames.PING and not flags & frames.ACK:
            self._write(frames.PING, 0, payload, frames.ACK)
        elif kind == frames.SETTINGS and not flags & frames.ACK:
            self._take_settings(frames.read_settings(payload))
        elif kind == frames.RST_STREAM and number in self._streams:
            self._take_reset(self._streams[number], int.from_bytes(payload, "big"))
        elif kind == frames.GOAWAY:
            self._take_goaway(int.from_bytes(payload[:4], "big"))
        elif kind == frames.CONTINUATION:
            self._take_continuation(flags, number, payload)
        elif kind == frames.PUSH_PROMISE:
            raise ProtocolError("a push, which was switched off")

    def _take_window(self, number: int, more: int) -> None:
        if number == 0:
            self._window += more
        elif number in self._unsent:
            self._unsent[number].window += more
        if self._unsent:
            self._send_on()

    def _take_settings(self, values: dict[int, int]) -> None:
        self._most = values.get(frames.MAX_CONCURRENT_STREAMS, self._most)
        self._largest = values.get(frames.MAX_FRAME_SIZE, self._largest)
        window = values.get(frames.INITIAL_WINDOW_SIZE, self._stream_window)
        for stream in self._unsent.values():
            stream.window += window - self._stream_window
        self._stream_window = window
        self._write(frames.SETTINGS, 0, b"", frames.ACK)
        self._send_on()
        if not self.ready.done():
            self.ready.set_result(True)
        self._owner.changed(self)

    def _take_reset(self, stream: Stream, reason: int) -> None:
        stream.left = 0
        self._forget(stream)
        if reason == frames.REFUSED_STREAM:
            self._owner.refused(stream)
        else:
            self._owner.ended(stream, *stream.reset(reason))

    def _take_goaway(self, last: int) -> None:
        """Start no more; the streams up to the last still end, the others were not looked at."""
        self._closing = True
        unseen = [stream for number, stream in self._streams.items() if number > last & frames.HIGHEST_STREAM]
        self._owner.changed(self)
        for stream in unseen:
            stream.left = 0
            self._forget(stream)
            self._owner.refused(stream)
        if not self._streams and self._transport is not None:
            self._transport.close()
