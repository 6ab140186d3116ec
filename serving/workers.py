"""A server of several processes that share its ports (SO_REUSEPORT), and the parent that keeps them alive.

One Python process answers on one processor. The parent loads no TensorFlow: it starts the workers, starts again what
dies, and passes on what one worker must ask the others, such as their metrics.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from serving import sockets
from serving.errors import Code, ServingError, of_code
from serving.peers import Peers
from serving.server import Endpoints, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from types import FrameType

    from serving.options import ServeOptions

_LOG = logging.getLogger("keraspipe.serving")
_LONGEST_PAUSE_S = 10.0  # before a worker that dies again and again is started once more
_STEADY_S = 30.0  # a worker that lived so long is no such one


def serve_with_workers(options: ServeOptions, ready: Callable[[Endpoints], None] | None = None) -> int:
    """Serve from `options.workers` processes until SIGTERM or SIGINT; arguments and errors as `serving.server.serve`.

    Raises:
        PortTaken: A port belongs to another process.
        ServingError: A worker cannot start.
    """
    with contextlib.ExitStack() as stack:
        ports = {}
        for field, what, option in (("rest_port", "REST", "--rest-port"), ("grpc_port", "gRPC", "--grpc-port")):
            port = getattr(options, field)
            if port is not None:
                holder = stack.enter_context(sockets.bound(options.host, port, what, option, shared=True))
                ports[field] = holder.getsockname()[1]
        return _Parent(dataclasses.replace(options, **ports), ready).run()


@dataclasses.dataclass(eq=False)
class _Worker:
    """One process.

    Attributes:
        process: It.
        line: Messages to and from it.
        number: Which of the workers it is.
        started: When it was started.
        ready: Whether it answers requests.
    """

    process: BaseProcess
    line: Connection
    number: int
    started: float
    ready: bool = False


@dataclasses.dataclass
class _Question:
    """What one worker asks the others.

    Attributes:
        asker: Who asks.
        number: The asker's own number of the question.
        waiting: Who has not answered yet.
        answers: What the others answered.
    """

    asker: _Worker
    number: int
    waiting: set[_Worker]
    answers: list[Any] = dataclasses.field(default_factory=list)


class _Parent:
    def __init__(self, options: ServeOptions, ready: Callable[[Endpoints], None] | None) -> None:
        self._options = options
        self._ready = ready
        self._workers: list[_Worker] = []
        self._questions: dict[int, _Question] = {}
        self._due: dict[int, float] = {}  # when to start a worker again, by its number
        self._pauses: dict[int, float] = {}
        self._config: bytes | None = None  # what the models were last set to
        self._stopping = False
        self._asked = 0

    def run(self) -> int:
        wake, woken = os.pipe()
        previous = {number: signal.signal(number, self._stop(woken)) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for number in range(self._options.workers):
                self._start(number)
            while self._workers or self._due:
                self._turn(wake)
        finally:
            self._end()
            for number, handler in previous.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(woken)
        return 0

    def _stop(self, woken: int) -> Callable[[int, FrameType | None], None]:
        def handler(_number: int, _frame: FrameType | None) -> None:
            self._stopping = True
            os.write(woken, b"x")

        return handler

    def _start(self, number: int) -> None:
        mine, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(self._options, theirs, self._config), name=f"worker-{number}")
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, mine, number, time.monotonic()))

    def _turn(self, wake: int) -> None:
        """Wait until something happens, and do what follows from it."""
        lines: dict[Any, _Worker] = {worker.line: worker for worker in self._workers}
        pause = min(self._due.values(), default=time.monotonic() + 3600) - time.monotonic()
        for found in wait([*lines, wake], max(pause, 0)):
            if found == wake:
                os.read(wake, 64)
            else:
                self._hear(lines[found])
        if self._stopping:
            self._due.clear()
            for worker in self._workers:
                worker.process.terminate()
        for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
            del self._due[number]
            self._start(number)

    def _hear(self, worker: _Worker) -> None:
        try:
            verb, *rest = worker.line.recv()
        except (EOFError, OSError):
            self._ended(worker)
            return
        hear: dict[str, Callable[..., None]] = {
            "ready": self._is_ready,
            "failed": self._failed,
            "ask": self._ask,
            "reply": self._reply,
        }
        hear[verb](worker, *rest)

    def _is_ready(self, worker: _Worker, endpoints: Endpoints) -> None:
        worker.ready = True
        _LOG.info("Worker %s (process %s) answers", worker.number, worker.process.pid)
        if self._ready and len(self._workers) == self._options.workers and all(one.ready for one in self._workers):
            self._ready(endpoints)
            self._ready = None

    def _failed(self, worker: _Worker, code: int, text: str) -> None:
        """It cannot start. At first that is the end of all; later the disk may be at fault, and it is tried again."""
        if self._ready:
            raise of_code(Code(code), text)
        _LOG.error("Worker %s cannot start: %s", worker.number, text)

    def _ask(self, worker: _Worker, number: int, kind: str, content: Any) -> None:
        others = {one for one in self._workers if one is not worker and one.ready}
        if kind == "reload":
            self._config = content
        self._asked += 1
        question = self._questions[self._asked] = _Question(worker, number, others)
        for one in list(others):
            _tell(one, "ask", self._asked, kind, content)
        self._finish(self._asked, question)

    def _reply(self, worker: _Worker, number: int, answer: Any) -> None:
        question = self._questions.get(number)
        if question and worker in question.waiting:
            question.waiting.discard(worker)
            question.answers.append(answer)
            self._finish(number, question)

    def _finish(self, number: int, question: _Question) -> None:
        if not question.waiting:
            del self._questions[number]
            _tell(question.asker, "answered", question.number, question.answers)

    def _ended(self, worker: _Worker) -> None:
        worker.process.join()
        self._workers.remove(worker)
        for number, question in list(self._questions.items()):
            question.waiting.discard(worker)
            self._finish(number, question)
        if self._stopping:
            return
        steady = time.monotonic() - worker.started > _STEADY_S
        pause = 0.0 if steady else min(max(2 * self._pauses.get(worker.number, 0.25), 0.5), _LONGEST_PAUSE_S)
        self._pauses[worker.number] = pause
        self._due[worker.number] = time.monotonic() + pause
        _LOG.error("Worker %s ended with code %s and is started again", worker.number, worker.process.exitcode)

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + self._options.drain_seconds + 5
        for worker in self._workers:
            worker.process.join(max(deadline - time.monotonic(), 0))
            if worker.process.is_alive():
                worker.process.kill()


def _tell(worker: _Worker, *message: Any) -> None:
    with contextlib.suppress(OSError):  # it has just died, which is noticed by itself
        worker.line.send(message)


def _work(options: ServeOptions, line: Connection, config: bytes | None) -> None:
    """A worker's life."""
    from serving.start import log_to_stderr

    log_to_stderr()
    peers = Peers(line, orphaned=lambda: os.kill(os.getpid(), signal.SIGTERM))
    code = 1
    try:
        code = serve(options, lambda endpoints: peers.send("ready", endpoints), peers, config)
    except ServingError as error:
        peers.send("failed", int(error.code), error.message)
    finally:
        os._exit(code)  # TensorFlow takes seconds to take itself apart
