"""The fields of a protobuf message, without what is in them (protobuf.dev/programming-guides/encoding)."""

# ruff: noqa: PLR2004 - the numbers are those of the encoding

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 10  # bytes of 64 bits
_FIXED = {1: 8, 5: 4}  # bytes of a value by its wire type


class Field(NamedTuple):
    """One field.

    Attributes:
        number: Its number.
        start: Where its tag begins.
        content: Where its value begins, behind its length.
        end: Where it ends.
    """

    number: int
    start: int
    content: int
    end: int


def list_fields(message: bytes, start: int = 0, end: int | None = None, most: float = math.inf) -> Iterator[Field]:
    """The fields of a message, or of one within it, in their order.

    Raises:
        ValueError: It is no message, has more fields than `most`, or a group, which no message of the protocol has.
    """
    at, end, count = start, len(message) if end is None else end, 0
    while at < end:
        count += 1
        if count > most:
            raise ValueError(f"more than {most} parts")
        first = at
        tag, at = read_varint(message, at)
        kind, content = tag & 7, at
        if kind == 0:
            _, at = read_varint(message, at)
        elif kind == 2:
            size, content = read_varint(message, at)
            at = content + size
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if at > end or tag < 8:
            raise ValueError("a field goes beyond its message" if at > end else "field 0")
        yield Field(tag >> 3, first, content, at)


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends.

    Raises:
        ValueError: It has more than 64 bits, or no end.
    """
    value = 0
    for place, byte in enumerate(content[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number without an end")


def delimited(number: int, content: bytes) -> bytes:
    """A field of a message, a text or bytes."""
    return b"".join([varint(number << 3 | 2), varint(len(content)), content])


def varint(value: int) -> bytes:
    """A length as protobuf writes it: 7 bits a byte, the lowest first."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
