"""A gRPC call whose message comes slowly, or packed: as much HTTP/2 (RFC 9113) as that takes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW = 0, 1, 3, 4, 6, 8
_ACK, _END_HEADERS, _INITIAL_WINDOW = 1, 4, 4
_FRAME = 1 << 14


class SlowCall:
    """One call on a connection of its own.

    Args:
        port: Of the server.
        method: Such as `/tensorflow.serving.PredictionService/Predict`.
        announced: Size of the message (bytes).
        encoding: How it is packed, such as "gzip".

    Attributes:
        sent: Bytes of the message so far.
        refused: Whether the server has ended the call.
    """

    def __init__(self, port: int, method: str, announced: int, encoding: str = "identity") -> None:
        self.sent, self.refused = 0, False
        self._left, self._initial = [65535, 65535], 65535  # of the connection and of the stream
        self._change = threading.Condition()
        self._line = socket.create_connection(("127.0.0.1", port), timeout=20)
        fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "127.0.0.1"}
        fields |= {"content-type": "application/grpc", "te": "trailers", "grpc-encoding": encoding}
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
        self._line.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, block))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._message = struct.pack(">?I", encoding != "identity", announced)

    def send(self, content: int | bytes) -> None:
        """Sends bytes of the message, or so many zeros, as far as the server takes them within a second."""
        waiting = self._message + bytes(content)
        self._message = b""
        while waiting and not self.refused:
            with self._change:
                if not self._change.wait_for(lambda: min(self._left) > 0 or self.refused, 1.0):
                    return
                count = max(0, min(_FRAME, len(waiting), *self._left))
                self._left = [left - count for left in self._left]
            with contextlib.suppress(OSError):
                self._line.sendall(_frame(_DATA, 0, 1, waiting[:count]))
            self.sent += count
            waiting = waiting[count:]

    def wait(self, seconds: float) -> None:
        """Waits until the server has ended the call."""
        with self._change:
            self._change.wait_for(lambda: self.refused, seconds)

    def close(self) -> None:
        """Hangs up."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._listener.join(10)
        self._line.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._line.makefile("rb") as reader:
            while head := reader.read(9):
                size, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:9])
                self._take(kind, flags, stream, reader.read(size))
        with self._change:
            self.refused = True
            self._change.notify_all()

    def _take(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        with self._change:
            if kind == _WINDOW:
                self._left[min(stream, 1)] += int.from_bytes(content)
            elif kind == _SETTINGS and not flags & _ACK:
                for at in range(0, len(content), 6):
                    name, value = struct.unpack(">HI", content[at : at + 6])
                    if name == _INITIAL_WINDOW:
                        self._left[1] += value - self._initial
                        self._initial = value
                self._line.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                self._line.sendall(_frame(_PING, _ACK, 0, content))
            elif kind in {_RESET, _HEADERS}:
                self.refused = True
            self._change.notify_all()


def _text(value: str) -> bytes:
    """A string of HPACK (RFC 7541, section 5.2), not compressed."""
    return bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + content
