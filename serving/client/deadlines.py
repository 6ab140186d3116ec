"""One deadline for all reads and writes of a request, however slowly the server sends.

httpcore limits each read of the socket. A server that sends a byte of its headers now and then would be waited for as
long as it likes.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from serving.client.calls import Deadline

current_deadline: contextvars.ContextVar[Deadline | None] = contextvars.ContextVar("current_deadline", default=None)
_PIECE = 1 << 18  # bytes that are written at a time


def keep_deadlines(client: httpx.Client) -> None:
    """Has a client end every request at the `current_deadline` of its thread.

    httpx hands no network backend to its connection pools; where theirs is not found, each read has its own limit.
    """
    transports = [client._transport, *client._mounts.values()]  # noqa: SLF001
    pools: list[Any] = [getattr(transport, "_pool", None) for transport in transports]
    for pool in pools:
        if hasattr(pool, "_network_backend"):
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001


class _Backend:
    """A network backend of httpcore whose streams know the deadline."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, *arguments: Any, **options: Any) -> _Stream:
        return _Stream(self._backend.connect_tcp(*arguments, **options))

    def connect_unix_socket(self, *arguments: Any, **options: Any) -> _Stream:
        return _Stream(self._backend.connect_unix_socket(*arguments, **options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A network stream of httpcore; a read or write after the deadline is a timeout."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        import httpcore

        content: bytes = self._stream.read(max_bytes, _seconds_left(timeout, httpcore.ReadTimeout))
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        import httpcore

        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _seconds_left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *arguments: Any, **options: Any) -> _Stream:
        return _Stream(self._stream.start_tls(*arguments, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _seconds_left(timeout: float | None, late: type[Exception]) -> float | None:
    deadline = current_deadline.get()
    if deadline is None:
        return timeout
    if deadline.left_s <= 0:
        raise late("the deadline has passed")
    return deadline.left_s if timeout is None else min(timeout, deadline.left_s)
