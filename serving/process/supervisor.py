"""A server of several processes that share its ports (SO_REUSEPORT), and the supervisor that keeps them alive.

One Python process answers on one processor. The supervisor loads no TensorFlow: it starts the workers, restarts those
that die, and passes on what one worker asks the others, such as their metrics.
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

from serving import sockets
from serving.core.work import available_memory
from serving.errors import Code, ServingError, error_from_code
from serving.process import worker
from serving.process.worker import Broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from serving.options import ServeOptions
    from serving.process.server import Endpoints
    from serving.process.worker import Worker


_LOG = logging.getLogger("keraspipe.serving")
_LONGEST_PAUSE_S = 10.0  # before a worker that dies again and again is started once more
_STEADY_S = 30.0  # a worker that lived so long is no such one
_MARGIN_S = 5.0  # after the drain, before a worker is killed
_IDLE_S = 3600.0


def serve_with_workers(options: ServeOptions, ready: Callable[[Endpoints], None] | None = None) -> int:
    """Serve from `options.workers` processes until SIGTERM or SIGINT; arguments and errors as `server.serve`.

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
                    sockets.bind(options.host, port, what, option).close()
                holder = stack.enter_context(sockets.bind(options.host, port, what, option, shared=True))
                ports[field] = holder.getsockname()[1]
        return _Supervisor(dataclasses.replace(options, **ports), ready).run()


def worker_options(options: ServeOptions, number: int) -> ServeOptions:
    """What one of the workers is started with."""
    limits, count = options.limits, options.workers
    held = available_memory() // 2 if limits.memory_bytes is None else limits.memory_bytes
    concurrent = None if limits.concurrent is None else max(limits.concurrent // count, 1)
    return dataclasses.replace(
        options,
        grpc_socket=None if number else options.grpc_socket,
        notice=None,
        limits=dataclasses.replace(limits, memory_bytes=held // count, concurrent=concurrent),
        generation=dataclasses.replace(options.generation, waiting=options.generation.waiting // count),
    )


class _Supervisor:
    def __init__(self, options: ServeOptions, ready: Callable[[Endpoints], None] | None) -> None:
        self._options = options
        self._ready = ready
        self._workers: list[Worker] = []
        self._broker = Broker()
        self._due: dict[int, float] = {}  # when to start a worker again, by its number
        self._pauses: dict[int, float] = {}
        self._deaths: dict[int, int] = {}
        self._started = False
        self._stopping = False
        self._kill_at = float("inf")

    def run(self) -> int:
        try:
            with _handle_signals(self._stop) as wake:
                for number in range(self._options.workers):
                    self._start(number)
                while self._workers or self._due:
                    self._run_turn(wake)
        finally:
            for child in self._workers:
                child.process.kill()
            for child in self._workers:
                child.end()
        return 0

    def _stop(self) -> None:
        self._stopping = True

    def _start(self, number: int) -> None:
        options = worker_options(self._options, number)
        self._workers.append(worker.start_worker(number, options, self._broker.config, self._deaths.get(number, 0)))

    def _run_turn(self, wake: int) -> None:
        """Wait until something happens, and do what follows from it."""
        lines: dict[Any, Worker] = {child.line: child for child in self._workers}
        due = min([*self._due.values(), self._broker.due(), self._kill_at, time.monotonic() + _IDLE_S])
        for source in wait([*lines, wake], max(due - time.monotonic(), 0)):
            if source == wake:
                os.read(wake, 64)
            else:
                self._dispatch(lines[source])
        self._broker.give_up()
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
            for child in self._workers:
                child.process.terminate()
        elif time.monotonic() >= self._kill_at:
            self._kill_at = time.monotonic() + _MARGIN_S
            for child in self._workers:
                _LOG.error("Worker %s does not exit and is killed", child.number)
                child.process.kill()

    def _dispatch(self, child: Worker) -> None:
        try:
            verb, *rest = child.line.recv()
        except (EOFError, OSError):
            self._handle_end(child)
            return
        hear: dict[str, Callable[..., None]] = {
            "ready": self._mark_ready,
            "failed": self._handle_failure,
            "ask": self._ask,
            "reply": self._broker.reply,
        }
        hear[verb](child, *rest)

    def _mark_ready(self, child: Worker, endpoints: Endpoints) -> None:
        child.ready = True
        _LOG.info("Worker %s (process %s) is ready", child.number, child.process.pid)
        if not self._started and all(each.ready for each in self._workers):
            self._started = True
            if self._ready:
                self._ready(endpoints)

    def _handle_failure(self, child: Worker, code: int, text: str) -> None:
        """It cannot start. At first that is the end of all; later the disk may be at fault, and it is tried again."""
        if not self._started and not self._stopping:
            raise error_from_code(Code(code), text)
        _LOG.error("Worker %s cannot start: %s", child.number, text)

    def _ask(self, child: Worker, number: int, kind: str, content: Any) -> None:
        self._broker.ask(child, number, kind, content, self._workers)

    def _handle_end(self, child: Worker) -> None:
        self._workers.remove(child)
        code = child.end()
        self._broker.drop_worker(child)
        if self._stopping:
            return
        if not self._started:
            raise ServingError(f"Worker {child.number} ended with code {code} before it could answer", Code.UNAVAILABLE)
        steady = time.monotonic() - child.started > _STEADY_S
        pause = 0.0 if steady else min(max(2 * self._pauses.get(child.number, 0.25), 0.5), _LONGEST_PAUSE_S)
        self._pauses[child.number] = pause
        self._due[child.number] = time.monotonic() + pause
        self._deaths[child.number] = self._deaths.get(child.number, 0) + 1
        _LOG.error("Worker %s exited with code %s and is restarted", child.number, code)
        if self._options.notice:
            self._options.notice(f"Worker {child.number} died (code {code}) and is restarted; the log has more")


@contextlib.contextmanager
def _handle_signals(stop: Callable[[], None]) -> Iterator[int]:
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
