"""One worker process, and requests between the workers of a server.

A worker has one pipe to its supervisor. What it asks (`PeerChannel.ask`: all metrics, a new list of models) the
supervisor's `Broker` sends to the others and collects, so that workers need no connection among themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from serving.errors import ServingError, Unavailable, unexpected_error
from serving.process.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from serving.options import ServeOptions


_REAP_S = 5.0  # for a process that has closed its line already
_ASK_TIMEOUT_S = 600.0  # the parent gives up before
_LOG = logging.getLogger("keraspipe.serving")
_RELOAD = "reload"
_NO_REPLY = 0  # the number of a message that expects no reply


@dataclasses.dataclass(eq=False)
class Worker:
    """A worker as its parent sees it.

    Attributes:
        process: It.
        line: Messages to and from it.
        number: Which of the workers it is.
        started: When it was started, by `time.monotonic`.
        ready: Whether it answers requests.
    """

    process: BaseProcess
    line: Connection
    number: int
    started: float
    ready: bool = False

    def send(self, *message: Any) -> None:
        """Send it something."""
        with contextlib.suppress(OSError):  # it has just died, which is noticed by itself
            self.line.send(message)

    def end(self) -> int | None:
        """Reap it, and free what the parent has of it; returns its exit code."""
        self.process.join(_REAP_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.line.close()
        return code


def start_worker(number: int, options: ServeOptions, config: bytes | None, deaths: int = 0) -> Worker:
    """A new worker process.

    Args:
        number: Which of the workers it is.
        options: What it serves.
        config: What the models were set to since the server started, a serialized `ReloadConfigRequest`.
        deaths: How many of its predecessors have died.
    """
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_run_worker, args=(options, theirs, config, deaths), name=f"worker-{number}")
    process.start()
    theirs.close()
    return Worker(process, mine, number, time.monotonic())


def _run_worker(options: ServeOptions, line: Connection, config: bytes | None, deaths: int) -> None:
    """A worker's life."""
    from serving.logs import log_to_stderr

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; until it serves, only the parent answers it
    log_to_stderr()
    peers = PeerChannel(line, orphaned=lambda: os.kill(os.getpid(), signal.SIGTERM), deaths=deaths)
    code = 1
    try:
        code = serve(options, lambda endpoints: peers.send("ready", endpoints), peers, config)
    except ServingError as error:
        peers.send("failed", int(error.code), error.message)
    except Exception as error:  # noqa: BLE001 - the parent gets the message, the log the traceback
        failure = unexpected_error(error, "The worker")
        peers.send("failed", int(failure.code), failure.message)
    finally:
        os._exit(code)  # TensorFlow takes seconds to take itself apart


class PeerChannel:
    """One process's line to the others, by way of their parent.

    Args:
        line: Messages to and from the parent.
        orphaned: Called when the parent is gone.
        deaths: How many processes have died in this one's place.
    """

    def __init__(self, line: Connection, orphaned: Callable[[], None], deaths: int = 0) -> None:
        self.deaths = deaths
        self._line = line
        self._on_orphaned = orphaned
        self._answers: Mapping[str, Callable[[Any], Any]] = {}
        self._pending: dict[int, Future[list[Any]]] = {}
        self._numbers = itertools.count()
        self._sending = threading.Lock()

    def listen(self, answers: Mapping[str, Callable[[Any], Any]]) -> None:
        """Starts to answer the requests of other workers, by kind, in background threads."""
        self._answers = answers
        threading.Thread(target=self._listen, name="peers", daemon=True).start()

    def ask(self, kind: str, content: Any) -> list[Any]:
        """What the others answer; blocks until all that live have, or have had the time to.

        Raises:
            Unavailable: The parent is gone.
        """
        number, future = next(self._numbers), Future[list[Any]]()
        self._pending[number] = future
        try:
            self.send("ask", number, kind, content)
            return future.result(_ASK_TIMEOUT_S)
        except (TimeoutError, OSError) as error:
            raise Unavailable("The other processes of this server do not answer") from error
        finally:
            self._pending.pop(number, None)

    def send(self, *message: Any) -> None:
        """Sends a message to the parent."""
        with self._sending:
            self._line.send(message)

    def _listen(self) -> None:
        try:
            while True:
                self._dispatch(*self._line.recv())
        except (EOFError, OSError):
            self._on_orphaned()

    def _dispatch(self, verb: str, number: Any, *rest: Any) -> None:
        future = self._pending.get(number) if verb == "answered" else None
        if future:
            future.set_result(rest[0])
        elif verb == "ask":
            threading.Thread(target=self._reply, args=(number, *rest), name="peer", daemon=True).start()

    def _reply(self, number: Any, kind: str, content: Any) -> None:
        answers = []
        try:
            answers.append(self._answers[kind](content))
        except Exception:  # noqa: BLE001 - the requester gets no answer, the log the traceback
            _LOG.exception("Answering the request of another worker failed: %s", kind)
        with contextlib.suppress(OSError):  # the parent is gone, which is noticed by itself
            self.send("reply", number, answers)


_REPLY_TIMEOUT_S = {"metrics": 5.0, _RELOAD: 570.0}  # others may have to load a model before they answer


@dataclasses.dataclass
class _PeerRequest:
    requester: Worker
    number: int  # the requester's own
    kind: str
    waiting: set[Worker]
    due: float
    answers: list[Any] = dataclasses.field(default_factory=list)


class Broker:
    """Open requests between workers.

    Attributes:
        config: What the models were last set to, a serialized `ReloadConfigRequest`; None where they were not.
    """

    def __init__(self) -> None:
        self.config: bytes | None = None
        self._questions: dict[int, _PeerRequest] = {}
        self._last_number = _NO_REPLY

    def ask(self, requester: Worker, number: int, kind: str, content: Any, workers: Collection[Worker]) -> None:
        """Pass a question on: a new list of models to all, also to those that still start; others to the ready."""
        others = {other for other in workers if other is not requester and (other.ready or kind == _RELOAD)}
        if kind == _RELOAD:
            self.config = content
        crossing = kind == _RELOAD and any(other.kind == _RELOAD for other in self._questions.values())
        self._last_number += 1
        due = time.monotonic() + _REPLY_TIMEOUT_S[kind]
        request = self._questions[self._last_number] = _PeerRequest(requester, number, kind, others, due)
        for other in others:
            other.send("ask", self._last_number, kind, content)
        if crossing:  # the requester may get the earlier list after it set its own: the last one counts for all
            requester.send("ask", _NO_REPLY, kind, content)
        self._finish(self._last_number, request)

    def reply(self, worker: Worker, number: int, answers: list[Any]) -> None:
        """Take a worker's answer."""
        request = self._questions.get(number)
        if request and worker in request.waiting:
            request.waiting.discard(worker)
            request.answers += answers
            self._finish(number, request)

    def drop_worker(self, worker: Worker) -> None:
        """A worker has died, and answers nothing any more."""
        for number, request in list(self._questions.items()):
            request.waiting.discard(worker)
            self._finish(number, request)

    def due(self) -> float:
        """When the next question is given up, by `time.monotonic`; infinite where none is."""
        return min((request.due for request in self._questions.values()), default=float("inf"))

    def give_up(self) -> None:
        """Answer what is overdue with what there is."""
        for number, request in list(self._questions.items()):
            if request.due > time.monotonic():
                continue
            late = [worker.number for worker in request.waiting]
            _LOG.error("Workers %s do not answer: %s", late, request.kind)
            if request.kind == _RELOAD:
                request.answers.append(Unavailable(f"Workers {late} did not say whether they have the new models"))
            request.waiting.clear()
            self._finish(number, request)

    def _finish(self, number: int, request: _PeerRequest) -> None:
        if not request.waiting:
            del self._questions[number]
            request.requester.send("answered", request.number, request.answers)
