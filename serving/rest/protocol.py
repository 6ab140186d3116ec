"""One client's connection: read its requests, have them answered, write the answers in order.

A connection keeps the requests that a client sends ahead (pipelining) in a queue, and stops reading when that is long,
so a fast sender costs no memory. A client that hangs up costs the one answer that is being computed; one that is slow
to send or to read loses its connection, but never somebody else's.
"""

# ruff: noqa: D102 - asyncio names the callbacks

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from serving.errors import Code
from serving.rest.parser import PIECE, ReceivedRequest, RequestReader, Response, response_head
from serving.rest.streaming import BodyWriter, probe_at_times, write_interim

if TYPE_CHECKING:
    from serving.rest.parser import Connections, Leave
    from serving.rest.streaming import BodyStream

_NOTHING = memoryview(b"")
_QUEUE = 16  # requests read ahead
_TURN_S = 0.002  # after which other connections have their turn: a piece may hold a few thousand chunks
_LONG = 1 << 16  # bytes of a body
_LINGER_S = 2.0  # for which a client that was refused may go on sending, so that it gets to read why


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._ahead = _NOTHING  # arrived, not read yet
        self._waiting: deque[ReceivedRequest] = deque()
        self._reader = RequestReader(connections, self._waiting.append)
        self._current: ReceivedRequest | None = None  # is being answered
        self._leave: Leave | None = None  # ends the work for it
        self._body: BodyWriter | None = None  # of its answer, where that is streamed
        self._refusal: Response | None = None  # comes after the answers that are due
        self._pumping = self._paused = self._held = self._closed = False
        self._writable = True
        self._last = False  # nothing further is read
        self._unsent, self._unsent_since = 0, math.inf
        self._lingering: asyncio.TimerHandle | None = None

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closed = True
        self._read_no_more()
        self._reader.close()
        if self._lingering:  # it would hold the connection
            self._lingering.cancel()
        self._drop_waiting()
        leave, self._leave = self._leave, None
        if self._body and self._current:  # else the answer gives back what is held
            self._all.give(self._current.held)
            self._body = self._current = None
        if leave:
            leave()
        self._all.remove(self)

    def data_received(self, data: bytes) -> None:
        self._all.touch(self)
        if not self._last:
            self._ahead = memoryview(bytes(self._ahead) + data if self._ahead else data)
            self._pump()

    def eof_received(self) -> bool:
        """A client may close its side and still read: keep ours open while an answer is due."""
        self._read_no_more()
        probe_at_times(self._loop, self._probe)
        return self.is_due and self._transport.get_extra_info("ssl_object") is None  # TLS ends both ways at once

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._body:
            self._body.write()
        self._pump()

    # Reading and answering in turn.

    def _pump(self) -> None:
        """Reads and answers until it has to wait for the client or for an answer."""
        if self._pumping or self._closed:
            return
        self._pumping = True
        until = time.monotonic() + _TURN_S
        while self._step():
            if time.monotonic() > until:
                self._loop.call_soon(self._pump)
                break
        self._pumping = False
        self._pause_or_resume()

    def _step(self) -> bool:
        if self._waiting and not self._current and self._writable:
            current = self._current = self._waiting.popleft()
            leave = self._all.handle(current.request, self._finish_request)
            self._leave = leave if self._current is current else None
            if self._leave and self._last:  # its client may have gone already
                probe_at_times(self._loop, self._probe)
        elif self._ahead and len(self._waiting) < _QUEUE:
            self._read_piece()
        else:
            return False
        return True

    def _read_piece(self) -> None:
        size = max(PIECE, self._reader.body_left)
        piece, self._ahead = self._ahead[:size], self._ahead[size:] or _NOTHING  # an empty view would hold the bytes
        refusal = self._reader.feed(piece)
        if refusal and not self._last:
            self.refuse(refusal)
        elif self._reader.upgraded:  # no other protocol is spoken: the request is answered, the connection closed
            self._read_no_more()
        else:
            self._continue()

    def _read_no_more(self) -> None:
        self._last = True
        self._ahead = _NOTHING
        self._reader.reset()

    def hold(self, *, held: bool) -> None:
        """Read nothing for now, or go on."""
        self._held = held
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        paused = self._held or bool(self._ahead)
        if self._paused == paused or self._closed or self._transport.is_closing():
            return
        self._paused = paused
        (self._transport.pause_reading if paused else self._transport.resume_reading)()

    # Answers, one after the other.

    def _finish_request(self, response: Response) -> None:
        is_open = self._current and not (self._closed or self._transport.is_closing())
        if response.stream and self._current and is_open and self._current.request.method != "HEAD":
            self._stream(response, response.stream, self._current)
            return
        current, self._current = self._current, None
        leave, self._leave = self._leave, None
        if response.stream and leave:  # nobody reads it
            leave()
        if current is None:  # an error after the answer
            return
        self._all.give(current.held)
        if self._closed or self._transport.is_closing():
            return
        keep = self._keeps_alive(current)
        self._write(response, current, keep_alive=keep)
        self._go_on(keep=keep)

    def _keeps_alive(self, current: ReceivedRequest) -> bool:
        return current.keep_alive and (self._refusal is not None or not self._is_ending)

    def _stream(self, response: Response, body: BodyStream, current: ReceivedRequest) -> None:
        """Writes an answer's head; its body follows as it comes into being."""
        chunked = current.version != "1.0"
        keep = chunked and self._keeps_alive(current)
        self._transport.write(response_head(response, int(time.time()), keep_alive=keep, chunked=chunked))

        def end() -> None:
            self._current = self._leave = self._body = None
            self._all.give(current.held)
            self._go_on(keep=keep and self._keeps_alive(current))

        def is_writable() -> bool:  # a transport whose client is lost takes all, without a word
            return self._writable and not (self._closed or self._transport.is_closing())

        self._body = BodyWriter(self._transport, body, chunked=chunked, is_writable=is_writable, ended=end)
        self._body.start()

    def _probe(self) -> None:
        """Learns whether a client that sends no more is still there: closing both sides looks the same at first."""
        if self._closed or self._transport.is_closing() or not (self._leave and self._current):
            return
        if self._body:
            self._body.probe()
        elif self._current.version != "1.0":
            write_interim(self._transport)

    def _go_on(self, *, keep: bool) -> None:
        """After an answer: the next one, or the end."""
        if not keep:
            self._finish()
        elif self._refusal and not self._waiting:
            self.refuse(self._refusal)
        else:
            self._continue()
            self._pump()

    def _write(self, response: Response, current: ReceivedRequest | None, *, keep_alive: bool) -> None:
        if keep_alive and current and current.version == "1.0":  # such a client expects the header
            response = replace(response, headers=f"{response.headers}Connection: keep-alive\r\n")
        body = b"" if current and current.request.method == "HEAD" else response.body
        head = response_head(response, int(time.time()), keep_alive=keep_alive)
        self._transport.write(head + body if len(body) < _LONG else head)
        if len(body) >= _LONG:  # a copy of it would cost others some milliseconds
            self._transport.write(body)

    def _continue(self) -> None:
        """Sends "100 Continue" if the client waits for it and no other answer comes first."""
        if self._reader.owes_continue and not self.is_due:
            self._reader.owes_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def refuse(self, response: Response) -> None:
        """Say why no further request is taken, after the answers that are due, and close."""
        self._read_no_more()
        if self.is_due:
            self._refusal = response
        else:
            self._all.refusals.send(Code.INVALID_ARGUMENT, self._write_refusal, response)

    def _write_refusal(self, response: Response) -> None:
        if not (self._closed or self._transport.is_closing()):
            self._write(self._all.with_headers(response), None, keep_alive=False)
            self._finish(linger=True)

    def _finish(self, *, linger: bool = False) -> None:
        """Close, but let a client that is still sending read its answer first: a reset would take it away."""
        linger = linger or bool(self._ahead) or self._is_reading
        self._read_no_more()
        self._drop_waiting()
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
            self._lingering = self._loop.call_later(_LINGER_S, self._transport.close)
        else:
            self._transport.close()

    def _drop_waiting(self) -> None:
        self._all.give(sum(received.held for received in self._waiting))
        self._waiting.clear()

    # The connection's state; `server.Connections` reads it too.

    @property
    def is_due(self) -> bool:
        """Whether an answer is due."""
        return self._current is not None or bool(self._waiting)

    @property
    def _is_reading(self) -> bool:
        """Whether a request is half read."""
        return self._reader.began < math.inf

    @property
    def is_in_body(self) -> bool:
        """Whether much of a body is to come."""
        return self._reader.body_left > _LONG and not self._closed

    @property
    def _is_ending(self) -> bool:
        """Whether no further request will be answered."""
        going_away = self._last or (self._all.draining and not self._is_reading)
        return going_away and not self._waiting and not self._ahead

    @property
    def idle(self) -> bool:
        """Whether no answer is due and no request is half read."""
        return not self.is_due and not self._ahead and not self._is_reading

    def is_too_slow(self, now: float, patience_s: float, slowest: float) -> bool:
        """Whether a request takes longer to send than so many seconds, and one more for each `slowest` bytes of it."""
        return now - self._reader.began > patience_s + self._reader.size / slowest

    def is_stuck(self, now: float, patience_s: float) -> bool:
        """Whether the client has read nothing of its answers for so many seconds."""
        unsent = 0 if self._closed else self._transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return now - self._unsent_since > patience_s and unsent > 0

    def close(self) -> None:
        """Close when what was written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()
