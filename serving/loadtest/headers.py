"""Header blocks of a gRPC call: the request's, encoded once, and the answers', decoded once per kind.

Sources: RFC 7541 (HPACK) and gRPC over HTTP/2, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote_to_bytes

import hpack

from serving.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.loadtest.target import Target

_KEPT = 64  # blocks; servers send two or three
_DIGITS = 8  # of a timeout
_OF_HTTP = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}  # https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md


class Fields(NamedTuple):
    """What counts in a block.

    Attributes:
        http: Status of HTTP; 0 for none.
        code: Status of gRPC; None for none.
        message: Its text.
    """

    http: int
    code: Code | None
    message: str


def request(target: Target, authority: str) -> bytes:
    """The block of every call to a target; it depends on no block before it and changes nothing for those after."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": target.path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "keraspipe-loadtest",
        "grpc-timeout": timeout(target.timeout_s),
    }
    if target.token:
        fields["authorization"] = f"Bearer {target.token}"
    # Never indexed: the same bytes can be sent again and again.
    literals = [hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields.items()]
    return hpack.Encoder().encode(literals, huffman=False)


def timeout(seconds: float) -> str:
    """As `grpc-timeout` says it: eight digits at most and a unit, rounded up."""
    for unit, per_second in (("u", 1e6), ("m", 1e3), ("S", 1)):
        count = max(math.ceil(seconds * per_second), 1)
        if count < 10**_DIGITS:
            return f"{count}{unit}"
    return "9" * _DIGITS + "S"


def of_http(status: int) -> Code:
    """The code of an answer that is none of gRPC."""
    return _OF_HTTP.get(status, Code.UNKNOWN)


class Decoder:
    """Reads the blocks of one connection.

    What equal bytes mean depends on the connection's table of headers. Servers change it by their first answers and
    then send the same few blocks: those are remembered as long as the table stays as it is.
    """

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """The fields of the next block.

        Raises:
            hpack.HPACKError: It is none.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        table = self._decoder.header_table
        before, newest = (table.maxsize, len(table.dynamic_entries)), self._newest()
        fields = _fields(cast("Iterable[tuple[bytes, bytes]]", self._decoder.decode(block, raw=True)))
        # An added entry is a new object, even where an equal one was the newest and another one had to go.
        unchanged = before == (table.maxsize, len(table.dynamic_entries)) and newest is self._newest()
        if not unchanged or len(self._known) >= _KEPT:
            self._known.clear()
        if unchanged:
            self._known[block] = fields
        return fields

    def _newest(self) -> tuple[bytes, bytes] | None:
        entries = self._decoder.header_table.dynamic_entries
        return entries[0] if entries else None


def _fields(pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
    found = dict(pairs)
    text = unquote_to_bytes(bytes(found.get(b"grpc-message", b""))).decode("utf-8", "replace")
    status = found.get(b"grpc-status")
    return Fields(_number(found.get(b":status", b"0"), 0), None if status is None else _code(status), text)


def _code(text: bytes) -> Code:
    try:
        return Code(int(text))
    except ValueError:
        return Code.UNKNOWN


def _number(text: bytes, otherwise: int) -> int:
    return int(text) if text.isdigit() else otherwise
