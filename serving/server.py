"""The embedded server as a process: ports, threads, signals, drain."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving import config
from serving.core.engine import tensorflow
from serving.core.models import Models
from serving.core.watcher import Watcher
from serving.errors import PortTaken, ServingError
from serving.rest.application import Application
from serving.rest.connection import Connections
from serving.rpc import service, transport

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from serving.options import ServeOptions

_LOG = logging.getLogger("keraspipe.serving")
_BACKLOG = 1024


@dataclass(frozen=True)
class Endpoints:
    """Where a started server listens.

    Attributes:
        rest: Address of the REST API, such as `http://127.0.0.1:8501`.
        grpc: Address of the gRPC API, such as `127.0.0.1:8500`.
        models: Versions served at the start, by model; the server finds later ones by itself.
        failed: Error text of each version that could not be loaded, by `NAME/VERSION`.
    """

    rest: str
    grpc: str
    models: dict[str, list[int]]
    failed: dict[str, str]


def serve(options: ServeOptions, ready: Callable[[Endpoints], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then answer what is in flight and return.

    Args:
        options: What to serve and where.
        ready: Called once both ports answer; they stay closed until the first models are loaded.

    Returns:
        The process's exit code, 0 after a drain.

    Raises:
        PortTaken: A port belongs to another process; found out before TensorFlow is imported.
        ServingError: The host cannot be listened at, or the configuration cannot be read.
    """
    with (
        bound(options.host, options.rest_port or 0, "REST", "--rest-port") as rest,
        bound(options.host, options.grpc_port or 0, "gRPC", "--grpc-port") as grpc_,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        return runner.run(_Server(options, rest, grpc_).run(ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def bound(host: str, port: int, what: str, option: str) -> socket.socket:
    """A socket that holds a port without listening yet: clients are refused, other servers too.

    Raises:
        PortTaken: Another process has it.
        ServingError: The address does not exist here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
    except OSError as error:
        kind = PortTaken if getattr(error, "errno", None) == errno.EADDRINUSE else ServingError
        raise kind(_cannot_listen(host, port, what, option, error)) from error
    return holder


def _cannot_listen(host: str, port: int, what: str, option: str, error: Exception) -> str:
    return (
        f"The {what} server cannot listen at {host}:{port}.\n"
        f"Expected: an address of this machine with a free port\n"
        f"Received: {error}\n"
        f"Next: stop the process that has it (`ss -ltnp 'sport = :{port}'`), or pass {option} with another "
        "port (0 takes any free one)"
    )


class _Server:
    """The parts of a running server: a thread that watches the disk, an event loop, threads that answer."""

    def __init__(self, options: ServeOptions, rest: socket.socket, grpc_: socket.socket) -> None:
        self._options = options
        self._rest_socket = rest
        self._grpc_socket = grpc_
        self._stop = asyncio.Event()

    async def run(self, ready: Callable[[Endpoints], None] | None) -> int:
        self._handle_signals()
        loop = asyncio.get_running_loop()
        models, watcher = await loop.run_in_executor(None, _loaded, self._options)
        threads = 4 * (os.cpu_count() or 1)  # as upstream
        with ThreadPoolExecutor(threads, thread_name_prefix="request") as executor:
            try:
                if not self._stop.is_set():
                    await self._answer_requests(models, executor, watcher, ready)
            finally:
                await loop.run_in_executor(None, watcher.stop)
        return 0

    def _handle_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def _answer_requests(
        self, models: Models, executor: Executor, watcher: Watcher, ready: Callable[[Endpoints], None] | None
    ) -> None:
        grpc_server, grpc_address = await self._listen_grpc(models, executor)
        connections = Connections(Application(models).answer, executor)
        rest_server = await asyncio.get_running_loop().create_server(
            connections.protocol, sock=self._rest_socket, backlog=_BACKLOG
        )
        rest_address = f"http://{_address(self._rest_socket)}"
        watcher.start(self._options.loading.poll_seconds)
        if ready:
            ready(Endpoints(rest_address, grpc_address, models.available(), models.failed()))
        await self._stop.wait()
        _LOG.info("Draining: no new connections, requests in flight are answered")
        rest_server.close()
        await asyncio.gather(self._drain(connections), grpc_server.stop(self._options.drain_seconds))

    async def _listen_grpc(self, models: Models, executor: Executor) -> tuple[grpc.aio.Server, str]:
        server = transport.server(service.methods(models), executor)
        address = _address(self._grpc_socket)
        self._grpc_socket.close()  # grpc binds for itself; the port was ours until now
        try:
            server.add_insecure_port(address)
        except RuntimeError as error:
            host, _, port = address.rpartition(":")
            raise PortTaken(_cannot_listen(host, int(port), "gRPC", "--grpc-port", error)) from error
        await server.start()
        return server, address

    async def _drain(self, connections: Connections) -> None:
        try:
            await asyncio.wait_for(connections.drain(), self._options.drain_seconds)
        except TimeoutError:
            connections.abort()


def _loaded(options: ServeOptions) -> tuple[Models, Watcher]:
    """The models as they lie on disk now, loaded and warm; TensorFlow is imported here."""
    models = Models()
    watcher = Watcher(models, config.source(options))
    watcher.look()
    tensorflow()  # also with no model yet, so that the first one published is not slow to come
    return models, watcher


def _address(bound_socket: socket.socket) -> str:
    host, port = bound_socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
