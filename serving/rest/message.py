"""An HTTP request and an HTTP answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REASONS = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request.

    Attributes:
        method: Such as `POST`.
        path: As sent, undecoded, with its query string.
        headers: By lower-case name.
        body: As sent.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer.

    Attributes:
        status: Such as 200.
        body: As it is sent.
        content_type: Empty where there is no body.
        headers: Further lines, each ending in a line break.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: str = ""


def head(response: Response, second: int, *, keep_alive: bool) -> bytes:
    """Status line and headers of an answer.

    Args:
        response: The answer.
        second: The time, in seconds since 1970.
        keep_alive: Whether the connection stays open.
    """
    kind = f"Content-Type: {response.content_type}\r\n" if response.content_type else ""
    close = "" if keep_alive else "Connection: close\r\n"
    return (
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n{kind}Date: {_date(second)}\r\n"
        f"Content-Length: {len(response.body)}\r\n{response.headers}{close}\r\n"
    ).encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
