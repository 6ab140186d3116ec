"""TFRecord framing, without TensorFlow.

A record is its length (8 bytes, little-endian), the length's masked CRC-32C, the bytes, their masked CRC-32C
(tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

from serving.errors import DataLoss

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = _LENGTH.size + _CRC.size
_CHUNK = 2**20  # a damaged length must not make us reserve terabytes


def frame(record: bytes) -> bytes:
    """Returns the bytes of a record in the file."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _CRC.pack(_masked_crc(length)), record, _CRC.pack(_masked_crc(record))))


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """The records from the file's position on.

    Raises:
        DataLoss: A record is cut off or damaged; those before it were given.
    """
    while header := file.read(_HEADER):
        start = file.tell() - len(header)
        record = _read_body(file, header)
        if record is None:
            raise DataLoss(
                f"A record is cut off or damaged.\nExpected: a whole TFRecord\n"
                f"Received: other bytes at offset {start} of {file.name}\n"
                "Next: keep the records before it, and delete the file if it was still being written"
            )
        yield record


def _read_body(file: BinaryIO, header: bytes) -> bytes | None:
    length, stated = header[: _LENGTH.size], header[_LENGTH.size :]
    if len(header) < _HEADER or _CRC.pack(_masked_crc(length)) != stated:
        return None
    record = _read_exactly(file, _LENGTH.unpack(length)[0])
    return record if file.read(_CRC.size) == _CRC.pack(_masked_crc(record)) else None


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := file.read(min(size, _CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def whole_length(file: BinaryIO) -> int:
    """How many bytes at the start of a file are complete records."""
    end = 0
    file.seek(0)
    try:
        for _ in read_records(file):
            end = file.tell()
    except DataLoss:
        pass
    return end
