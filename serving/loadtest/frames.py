"""Frames of HTTP/2, the units that a connection carries.

Source: RFC 9113, sections 4 and 6, https://www.rfc-editor.org/rfc/rfc9113
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE = 0, 1, 3, 4, 5
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 2, 3, 4, 5
NO_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY = 0, 7, 8, 11, 12
LARGEST = 1 << 14  # bytes of a frame where no setting says otherwise; this client says nothing else
WINDOW = (1 << 16) - 1  # bytes of a window where no setting says otherwise
HIGHEST_STREAM = (1 << 31) - 1

_HEAD = struct.Struct(">IBI")  # 24 bits of length and 8 of kind; flags; stream
_SETTING = struct.Struct(">HI")
_LENGTH = 8  # bits that the length is shifted by


class ProtocolError(Exception):
    """The peer breaks the rules of HTTP/2."""


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload."""
    return _HEAD.pack(length << _LENGTH | kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return head(len(payload), kind, flags, stream) + payload


def number(value: int) -> bytes:
    """32 bits: payload of RST_STREAM and WINDOW_UPDATE."""
    return value.to_bytes(4, "big")


def settings(values: Mapping[int, int]) -> bytes:
    """Payload of SETTINGS."""
    return b"".join(_SETTING.pack(name, value) for name, value in values.items())


def read_settings(payload: bytes) -> dict[int, int]:
    """Settings by their number, the last of each."""
    if len(payload) % _SETTING.size:
        raise ProtocolError(f"SETTINGS of {len(payload)} bytes")
    return dict(_SETTING.iter_unpack(payload))


def unpadded(payload: bytes, flags: int) -> bytes:
    """Payload of DATA or HEADERS without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError("padding longer than its frame")
    return payload[1 : len(payload) - payload[0]]


class Reader:
    """Cuts what is received into frames, wherever the reads end."""

    def __init__(self) -> None:
        self._rest = b""

    def frames(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of the frames that are complete now.

        Raises:
            ProtocolError: A frame is larger than allowed.
        """
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        while size - at >= _HEAD.size:
            first, flags, stream = _HEAD.unpack_from(data, at)
            start = at + _HEAD.size
            end = start + (first >> _LENGTH)
            if end - start > LARGEST:
                raise ProtocolError(f"a frame of {end - start} bytes")
            if end > size:
                break
            yield first & 0xFF, flags, stream & HIGHEST_STREAM, data[start:end]
            at = end
        self._rest = data[at:]
