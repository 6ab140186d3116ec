"""The REST server's port, from opening to drain."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from serving import security, sockets
from serving.rest.connections import Connections

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from serving.core.budget import Budget
    from serving.options import ServeOptions
    from serving.rest.message import Request, Response

_BACKLOG = 1024
_SWEEP_S = 5.0
_CORS = (
    "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: POST, GET\r\n"
    "Access-Control-Allow-Headers: Content-Type{more}\r\n"
)


class RestServer:
    """Takes connections on a port.

    Args:
        options: Limits, token, TLS, CORS.
        budget: Bytes of requests that the server holds.
        handle: Answers a request by calling back once.

    Raises:
        InvalidArgument: TLS cannot be set up.
    """

    def __init__(
        self, options: ServeOptions, budget: Budget, handle: Callable[[Request, Callable[[Response], None]], None]
    ) -> None:
        self._context: ssl.SSLContext | None = security.rest_context(options.security)
        self._connections = Connections(
            handle,
            budget,
            options.limits.request_bytes,
            security.allows_rest(options.security.token),
            _cors(options) if options.cors else "",
        )
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    def url(self, holder: socket.socket) -> str:
        """Where clients find a port."""
        return f"{'https' if self._context else 'http'}://{sockets.address(holder)}"

    async def listen(self, holder: socket.socket) -> None:
        """Take connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connections.protocol, sock=holder, backlog=_BACKLOG, ssl=self._context
        )
        self._sweeper = loop.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._connections.sweep()

    async def drain(self, seconds: float) -> None:
        """Answer what is in flight, close the port; after so many seconds close all connections."""
        if self._server is None or self._sweeper is None:
            return
        self._sweeper.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connections.drain(self._server.close), seconds)
        self._connections.abort()


def _cors(options: ServeOptions) -> str:
    """Browsers may send a token only where they are told that they may."""
    return _CORS.replace("{more}", ", Authorization" if options.security.token else "")
