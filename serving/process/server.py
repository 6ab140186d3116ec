"""One server process: ports, threads, signals, drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving import sockets
from serving.server_core import ServerCore

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from serving.core.work import Peers
    from serving.options import ServeOptions


_CONTROL_THREADS = 4
_WRITER_THREADS = 2
_PARSER_THREADS = 1  # Python reads one message at a time; more threads would only take the event loop's turns


@dataclass(frozen=True)
class Endpoints:
    """Where a started server listens.

    Attributes:
        rest: Address of the REST API, such as `http://127.0.0.1:8501`; empty when it is off.
        grpc: Address of the gRPC API, such as `127.0.0.1:8500`; empty when it is off.
        models: Versions served at the start, by model; the server finds later ones by itself.
        failed: Error text of each version that could not be loaded, by `NAME/VERSION`.
    """

    rest: str
    grpc: str
    models: dict[str, list[int]]
    failed: dict[str, str]


def serve(
    options: ServeOptions,
    ready: Callable[[Endpoints], None] | None = None,
    peers: Peers | None = None,
    config: bytes | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then answer what is in flight and return.

    Args:
        options: What to serve and where.
        ready: Called once both ports answer; they stay closed until the first models are loaded.
        peers: The server's other processes, which have the ports too; None where this is the only one.
        config: What the models were set to since the server started, a serialized `ReloadConfigRequest`.

    Returns:
        The process's exit code, 0 after a drain.

    Raises:
        PortTaken: A port belongs to another process; found out before TensorFlow is imported.
        ServingError: The host cannot be listened at, the configuration cannot be read, or a model that must
            start does not.
    """
    shared = peers is not None
    with contextlib.ExitStack() as stack:
        rest = _bind(stack, options.host, options.rest_port, "REST", "--rest-port", shared=shared)
        grpc_ = _bind(stack, options.host, options.grpc_port, "gRPC", "--grpc-port", shared=shared)
        runner = stack.enter_context(asyncio.Runner(loop_factory=_loop_factory()))
        return runner.run(_Server(options, rest, grpc_, peers, config).run(ready))


def _bind(
    stack: contextlib.ExitStack, host: str, port: int | None, what: str, option: str, *, shared: bool
) -> socket.socket | None:
    return None if port is None else stack.enter_context(sockets.bind(host, port, what, option, shared=shared))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Server:
    """A running server: a thread that watches the disk, an event loop, threads for what is large."""

    def __init__(
        self,
        options: ServeOptions,
        rest: socket.socket | None,
        grpc_: socket.socket | None,
        peers: Peers | None,
        config: bytes | None,
    ) -> None:
        self._options = options
        self._rest, self._grpc = rest, grpc_
        self._peers, self._config = peers, config
        self._stop = asyncio.Event()

    async def run(self, ready: Callable[[Endpoints], None] | None) -> int:
        self._handle_signals()
        threads = self._options.threads or 4 * (os.cpu_count() or 1)  # as upstream
        with (
            ThreadPoolExecutor(threads, thread_name_prefix="request") as executor,
            ThreadPoolExecutor(_WRITER_THREADS, thread_name_prefix="writer") as writers,
            ThreadPoolExecutor(_PARSER_THREADS, thread_name_prefix="parser") as parser,
            ThreadPoolExecutor(_CONTROL_THREADS, thread_name_prefix="control") as control,
        ):
            core = ServerCore(self._options, executor, writers, parser, control, self._peers, self._config)
            try:
                await core.load(self._stop)
                if not self._stop.is_set():
                    await self._answer_requests(core, ready)
            finally:
                await core.close()
                for pool in (parser, writers, executor):  # what is left is for connections that are closed
                    pool.shutdown(wait=False, cancel_futures=True)
        return 0

    def _handle_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def _answer_requests(self, core: ServerCore, ready: Callable[[Endpoints], None] | None) -> None:
        grpc_address = await core.listen_grpc(self._grpc, shared=self._peers is not None)
        rest_address = await core.listen_rest(self._rest)
        core.watch()
        if ready:
            ready(Endpoints(rest_address, grpc_address, core.models.available(), core.models.list_errors()))
        await self._stop.wait()
        await core.drain()
