"""The REST server: its port and all its open connections, from opening to drain."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from serving import security, sockets
from serving.core.cost import Refusals
from serving.core.work import FULL_TEXT
from serving.errors import Code, unexpected_error
from serving.rest.app import error_response
from serving.rest.body_turns import BodyTurns
from serving.rest.parser import Refusal, Response
from serving.rest.protocol import Connection

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from serving.core.work import MemoryBudget
    from serving.options import ServeOptions
    from serving.rest.parser import Leave, Request

    Handle = Callable[[Request, Callable[[Response], None]], Leave | None]

_LOG = logging.getLogger("keraspipe.serving")
_SEARCH = 256  # connections that are looked at for one to close
_BACKLOG = 1024
_SWEEP_S = 5.0
_CORS = (
    "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: POST, GET\r\n"
    "Access-Control-Allow-Headers: Content-Type{more}\r\n"
)
_GRACE_S = 0.5  # for which the port stays open after SIGTERM, and for which idle clients may ask after that
_PATIENCE_S = 60.0  # for a request's head, and for a client that reads nothing
_SLOWEST = 1024.0  # bytes of a request's body per second


class RestServer:
    """Takes connections on a port.

    Args:
        options: Limits, token, TLS, CORS.
        budget: Bytes of requests that the server holds.
        handle: Answers a request by calling back once.
        refusals: Spaces out refusals, those of `handle` included.

    Raises:
        InvalidArgument: TLS cannot be set up.
    """

    def __init__(self, options: ServeOptions, budget: MemoryBudget, handle: Handle, refusals: Refusals) -> None:
        self._context: ssl.SSLContext | None = security.rest_tls_context(options.security)
        self._connections = Connections(
            handle,
            budget,
            options.limits.request_bytes,
            security.rest_token_check(options.security.token),
            _cors_headers(options) if options.cors else "",
            refusals=refusals,
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


def _cors_headers(options: ServeOptions) -> str:
    """Returns the CORS headers; browsers send a token only where a header allows it."""
    return _CORS.replace("{more}", ", Authorization" if options.security.token else "")


class Connections:
    """Open connections; used on one event loop.

    Args:
        handle: Answers a request by calling back once.
        budget: Bytes of requests that the server holds.
        request_bytes: Size of a request at most; None for any.
        allows: Whether a method, path and `Authorization` are accepted.
        headers: Lines that every answer gets, each ending in a line break.
        patience_s: Seconds that a client may take to send a request's head, and to begin to read an answer.
        most: Connections at a time; None for half of the files that the process may open.
        refusals: Spaces out refusals; None for a rate of its own.
    """

    def __init__(
        self,
        handle: Handle,
        budget: MemoryBudget,
        request_bytes: int | None = None,
        allows: Callable[[str, bytes, str], bool] = lambda *_: True,
        headers: str = "",
        patience_s: float = _PATIENCE_S,
        most: int | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._handle = handle
        self._budget = budget
        self._request_bytes = request_bytes
        self._allows = allows
        self._headers = headers
        self._patience_s = patience_s
        self._open: dict[Connection, None] = {}  # whoever was silent for longest is the first
        self._most = (
            sockets.raise_file_limit() // 2 if most is None else most
        )  # a quarter is gRPC's; the rest: files, models
        self._warned = False
        self._emptied = asyncio.Event()
        self._turns = BodyTurns()
        self.draining = False
        self.refusals = refusals or Refusals()

    def protocol(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    def add(self, connection: Connection) -> None:
        """A client came; beyond the limit another one leaves for it, that which has been silent for longest."""
        self._open[connection] = None
        if len(self._open) > self._most:
            self._turn_away()

    def touch(self, connection: Connection) -> None:
        """A client sent something."""
        if connection in self._open:  # to the end of the line
            del self._open[connection]
            self._open[connection] = None
            self._turns.touch(connection)

    def _turn_away(self) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "There are %s connections, the most that this process may have: idle ones are closed", self._most
            )
        silent = itertools.islice(self._open, _SEARCH)
        candidates = [connection for connection in silent if connection.idle or not connection.is_due]
        victim = next((each for each in candidates if each.idle), candidates[0] if candidates else None)
        if victim:
            self._open.pop(victim, None)
            victim.abort()

    def remove(self, connection: Connection) -> None:
        """A client left."""
        self._open.pop(connection, None)
        self._turns.remove(connection)
        if not self._open:
            self._emptied.set()

    def handle(self, request: Request, reply: Callable[[Response], None]) -> Leave | None:
        """Answer a request; returns what is to be called if the client leaves before it has its answer."""
        respond = (lambda response: reply(self.with_headers(response))) if self._headers else reply
        try:
            return self._handle(request, respond)
        except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
            respond(error_response(unexpected_error(error, "A request")))
            return None

    def with_headers(self, response: Response) -> Response:
        """An answer with the lines that all get."""
        return replace(response, headers=response.headers + self._headers)

    def refusal(self, method: str, path: bytes, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is turned away before its body is read; None where it is not."""
        if self._allows(method, path, headers.get("authorization", "")):
            return None
        text = "The request carries no valid bearer token. Send the header: Authorization: Bearer TOKEN"
        return Refusal(401, text, Code.UNAUTHENTICATED, "WWW-Authenticate: Bearer\r\n")

    def take(self, size: int, total: int) -> Refusal | None:
        """Hold bytes of a request; why not, where they are too many.

        Args:
            size: Bytes to hold now.
            total: Bytes of the request that were read so far.
        """
        if self._request_bytes is not None and max(size, total) > self._request_bytes:
            text = f"The request has {max(size, total)} bytes, at most {self._request_bytes} are taken"
            return Refusal(413, text, Code.INVALID_ARGUMENT)
        return None if self._budget.take(size) else Refusal(429, FULL_TEXT, Code.RESOURCE_EXHAUSTED)

    def give(self, size: int) -> None:
        """Hold bytes no longer."""
        self._budget.give(size)

    def sweep(self) -> None:
        """Turn away clients that are too slow to send a request, or to read an answer."""
        now = time.monotonic()
        for connection in list(self._open):
            if connection.is_stuck(now, self._patience_s):
                connection.abort()
            elif connection.is_too_slow(now, self._patience_s, _SLOWEST):
                connection.refuse(Response(408, b"", ""))

    async def drain(self, close: Callable[[], None]) -> None:
        """Close each connection as soon as it has nothing left to answer.

        Args:
            close: Takes no further connections.

        For a moment all goes on, for whoever looks up where to ask has not heard of it yet, and clients that keep
        their connection need no new one while the port is about to close. Then each answer says that it is the last
        one, and idle clients may still ask for a moment, as a request may be on its way already.
        """
        await asyncio.sleep(_GRACE_S)
        close()
        self.draining = True
        await asyncio.sleep(_GRACE_S)
        while self._open:
            for connection in [candidate for candidate in self._open if candidate.idle]:
                connection.close()
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):  # one that came in at the last moment may be idle by then
                await asyncio.wait_for(self._emptied.wait(), _GRACE_S)

    def abort(self) -> None:
        """Close all at once."""
        for connection in list(self._open):
            connection.abort()
