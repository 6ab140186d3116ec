"""A server of several processes that share its ports (SO_REUSEPORT), and the parent that keeps them alive.

One Python process answers on one processor. The parent loads no TensorFlow: it starts the workers, starts again what
dies, and passes on what one worker must ask the others, such as their metrics.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import threading
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from serving import sockets, worker
from serving.core.budget import memory
from serving.errors import Code, ServingError, of_code
from serving.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from serving.options import ServeOptions
    from serving.server import Endpoints
    from serving.worker import Worker

_LOG = logging.getLogger("keraspipe.serving")
_LONGEST_PAUSE_S = 10.0  # before a worker that dies again and again is started once more
_STEADY_S = 30.0  # a worker that lived so long is no such one
_MARGIN_S = 5.0  # after the drain, before a worker is killed
_IDLE_S = 3600.0


def serve_with_workers(options: ServeOptions, ready: Callable[[Endpoints], None] | None = None) -> int:
    """Serve from `options.workers` processes until SIGTERM or SIGINT; arguments and errors as `serving.server.serve`.

    The UNIX socket is the first worker's alone, for Linux shares no such socket. Memory and requests at a time are
    limits of the whole server, of which each worker has its share.

    Raises:
        PortTaken: A port belongs to another process.
        ServingError: A worker cannot start.
    """
    with contextlib.ExitStack() as stack:
        ports = {}
        for field, what, option in (("rest_port", "REST", "--rest-port"), ("grpc_port", "gRPC", "--grpc-port")):
            port = getattr(options, field)
            if port is not None:
                if port:  # another server that shares its port would not mind ours
                    sockets.bound(options.host, port, what, option).close()
                holder = stack.enter_context(sockets.bound(options.host, port, what, option, shared=True))
                ports[field] = holder.getsockname()[1]
        return _Parent(dataclasses.replace(options, **ports), ready).run()


def share(options: ServeOptions, number: int) -> ServeOptions:
    """What one of the workers is started with."""
    limits, count = options.limits, options.workers
    held = memory() // 2 if limits.memory_bytes is None else limits.memory_bytes
    concurrent = None if limits.concurrent is None else max(limits.concurrent // count, 1)
    return dataclasses.replace(
        options,
        grpc_socket=None if number else options.grpc_socket,
        limits=dataclasses.replace(limits, memory_bytes=held // count, concurrent=concurrent),
    )


class _Parent:
    def __init__(self, options: ServeOptions, ready: Callable[[Endpoints], None] | None) -> None:
        self._options = options
        self._ready = ready
        self._workers: list[Worker] = []
        self._exchange = Exchange()
        self._due: dict[int, float] = {}  # when to start a worker again, by its number
        self._pauses: dict[int, float] = {}
        self._started = False
        self._stopping = False
        self._kill_at = float("inf")

    def run(self) -> int:
        try:
            with _signals(self._stop) as wake:
                for number in range(self._options.workers):
                    self._start(number)
                while self._workers or self._due:
                    self._turn(wake)
        finally:
            for one in self._workers:
                one.process.kill()
            for one in self._workers:
                one.end()
        return 0

    def _stop(self) -> None:
        self._stopping = True

    def _start(self, number: int) -> None:
        self._workers.append(worker.start(number, share(self._options, number), self._exchange.config))

    def _turn(self, wake: int) -> None:
        """Wait until something happens, and do what follows from it."""
        lines: dict[Any, Worker] = {one.line: one for one in self._workers}
        due = min([*self._due.values(), self._exchange.due(), self._kill_at, time.monotonic() + _IDLE_S])
        for found in wait([*lines, wake], max(due - time.monotonic(), 0)):
            if found == wake:
                os.read(wake, 64)
            else:
                self._hear(lines[found])
        self._exchange.give_up()
        if self._stopping:
            self._drain()
        for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
            del self._due[number]
            self._start(number)

    def _drain(self) -> None:
        """Let the workers answer what is in flight; one that hangs is killed."""
        self._due.clear()
        if self._kill_at == float("inf"):
            self._kill_at = time.monotonic() + self._options.drain_seconds + _MARGIN_S
            for one in self._workers:
                one.process.terminate()
        elif time.monotonic() >= self._kill_at:
            self._kill_at = time.monotonic() + _MARGIN_S
            for one in self._workers:
                _LOG.error("Worker %s does not end and is killed", one.number)
                one.process.kill()

    def _hear(self, one: Worker) -> None:
        try:
            verb, *rest = one.line.recv()
        except (EOFError, OSError):
            self._ended(one)
            return
        hear: dict[str, Callable[..., None]] = {
            "ready": self._is_ready,
            "failed": self._failed,
            "ask": self._ask,
            "reply": self._exchange.reply,
        }
        hear[verb](one, *rest)

    def _is_ready(self, one: Worker, endpoints: Endpoints) -> None:
        one.ready = True
        _LOG.info("Worker %s (process %s) answers", one.number, one.process.pid)
        if not self._started and all(each.ready for each in self._workers):
            self._started = True
            if self._ready:
                self._ready(endpoints)

    def _failed(self, one: Worker, code: int, text: str) -> None:
        """It cannot start. At first that is the end of all; later the disk may be at fault, and it is tried again."""
        if not self._started and not self._stopping:
            raise of_code(Code(code), text)
        _LOG.error("Worker %s cannot start: %s", one.number, text)

    def _ask(self, one: Worker, number: int, kind: str, content: Any) -> None:
        self._exchange.ask(one, number, kind, content, self._workers)

    def _ended(self, one: Worker) -> None:
        self._workers.remove(one)
        code = one.end()
        self._exchange.left(one)
        if self._stopping:
            return
        if not self._started:
            raise ServingError(f"Worker {one.number} ended with code {code} before it could answer", Code.UNAVAILABLE)
        steady = time.monotonic() - one.started > _STEADY_S
        pause = 0.0 if steady else min(max(2 * self._pauses.get(one.number, 0.25), 0.5), _LONGEST_PAUSE_S)
        self._pauses[one.number] = pause
        self._due[one.number] = time.monotonic() + pause
        _LOG.error("Worker %s ended with code %s and is started again", one.number, code)


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[int]:
    """Calls `stop` at SIGTERM and SIGINT; gives a pipe's end that can be read from then on."""
    wake, woken = os.pipe()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()
        os.write(woken, b"x")

    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if main else ()
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield wake
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(woken)
