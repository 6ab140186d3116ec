"""From a request to its answer, for both transports: read it, run the graph, word the result.

Small requests are read and answered on the event loop, large ones in threads, so that none keeps the others waiting.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from serving.core.work import Answered, Fetch, Outcome, Scheduler, Values, Work
from serving.errors import Code, ResourceExhausted, ServingError, unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from serving.core.servable import Lease

_SMALL_VALUES = 1 << 16  # bytes of a result that is worded on the event loop
Answer = bytes | ServingError


class Metrics(Protocol):
    """What is told about each request."""

    def request(
        self, entrypoint: str, api: str, model: str, version: int | None, signature: str, code: Code, seconds: float
    ) -> None:
        """A request was answered."""

    def served(self, model: str, version: int, signatures: Iterable[str]) -> None:
        """Names that are real."""

    def chosen(self, model: str, side: str, version: int, code: Code, seconds: float) -> None:
        """A canary had chosen who answers it."""

    def begin(self) -> None:
        """A request came in."""

    def end(self) -> None:
        """It was answered."""

    def runtime(self, api: str, model: str, seconds: float) -> None:
        """Its run of the graph."""

    def examples(self, model: str, count: int) -> None:
        """Its examples."""

    def example_total(self, model: str, count: int) -> None:
        """Its examples, for MultiInference only."""


class Samples(Protocol):
    """Keeps a sample of the traffic."""

    def wants(self, model: str) -> bool:
        """Whether this request is to be kept."""

    def rate(self, model: str) -> float:
        """Share of the model's requests that is kept."""

    def put(self, model: str, make: Callable[[], Any], size: int) -> None:
        """Keep what `make` gives, a `PredictionLog`, some time later."""


@dataclass(slots=True)
class Question:
    """A request that was read and checked.

    Attributes:
        lease: The hold on its model.
        signature: Key of the signature.
        fetch: What to run.
        word: The answer's bytes from what the graph gave.
        examples: How many `tf.train.Example`s it carries.
        log: The `PredictionLog` of who answered, what the graph gave, and the answer.
    """

    lease: Lease
    signature: str
    fetch: Fetch
    word: Callable[[Values], bytes]
    examples: int = 0
    log: Callable[[Answered, Values, bytes], Any] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for what, how, and until when.

    Attributes:
        entrypoint: `REST` or `GRPC`.
        api: Such as `predict` or `Predict`.
        model: The name in the request, whether there is such a model or not.
        done: Called with the answer, once, on the event loop.
        large: Whether reading the request takes long.
        deadline: When the caller stops waiting, by `time.monotonic`.
    """

    entrypoint: str
    api: str
    model: str
    done: Callable[[Answer], None]
    large: bool = False
    deadline: float = math.inf


class Inference:
    """Answers requests; lives on one event loop.

    Args:
        scheduler: Runs the graphs.
        executor: Threads for what is large.
        metrics: Told about every request.
        samples: Keeps some of them; None for no such log.
        concurrent: Requests at a time; None for no limit.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        executor: Executor,
        metrics: Metrics,
        samples: Samples | None = None,
        concurrent: int | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._metrics = metrics
        self._samples = samples
        self._concurrent = math.inf if concurrent is None else concurrent
        self._loop = asyncio.get_running_loop()
        self.in_flight = 0

    def answer(
        self, caller: Caller, read: Callable[[], Question], quick: Callable[[], Question | None] | None = None
    ) -> None:
        """Answer a request.

        Args:
            caller: Who asks.
            read: Reads and checks it; may raise `ServingError`, and must not hold the lease then.
            quick: Reads a large request without a thread if that takes no time, or else gives None.
        """
        if self.in_flight >= self._concurrent:
            full = ResourceExhausted(f"The server answers {self.in_flight} requests already, its limit")
            self._metrics.request(caller.entrypoint, caller.api, caller.model, None, "", full.code, 0.0)
            caller.done(full)
            return
        self.in_flight += 1
        self._metrics.begin()
        started = time.perf_counter()
        question = _attempt(quick) if caller.large and quick else None
        if question:
            self._run(caller, question, started)
        elif caller.large:
            self._executor.submit(self._read_there, caller, read, started)
        else:
            self._run(caller, _attempt(read), started)

    def _read_there(self, caller: Caller, read: Callable[[], Question], started: float) -> None:
        question = _attempt(read)
        self._loop.call_soon_threadsafe(self._run, caller, question, started)

    def _run(self, caller: Caller, question: Question | ServingError, started: float) -> None:
        if isinstance(question, ServingError):
            self._end(caller, None, started, question)
            return
        self._introduce(question.lease)

        def ran(values: Outcome) -> None:
            self._ran(caller, question, work, started, values)

        work = Work(question.lease, question.fetch, ran, caller.deadline)
        self._scheduler.submit(work)

    def _introduce(self, lease: Lease) -> None:
        """Let the metrics know the names of a version at its first request; those that clients make up are none."""
        if not lease.model.introduced:
            lease.model.introduced = True
            self._metrics.served(lease.servable.name, lease.servable.version, lease.model.signatures)

    def _ran(self, caller: Caller, question: Question, work: Work, started: float, values: Outcome) -> None:
        if isinstance(values, ServingError):
            self._end(caller, question, started, values)
            return
        model = question.lease.servable.name
        self._metrics.runtime(caller.api, model, work.seconds)
        if question.examples:
            self._metrics.examples(model, question.examples)
            if caller.api == "MultiInference":  # upstream counts no others
                self._metrics.example_total(model, question.examples)
        if sum(value.nbytes for value in values) > _SMALL_VALUES:
            self._executor.submit(self._word_there, caller, question, started, values)
        else:
            self._worded(caller, question, started, values, _attempt(partial(question.word, values)))

    def _word_there(self, caller: Caller, question: Question, started: float, values: Values) -> None:
        answer = _attempt(partial(question.word, values))
        self._loop.call_soon_threadsafe(self._worded, caller, question, started, values, answer)

    def _worded(self, caller: Caller, question: Question, started: float, values: Values, answer: Answer) -> None:
        servable = question.lease.servable
        if self._samples and question.log and isinstance(answer, bytes) and self._samples.wants(servable.name):
            rate, now = self._samples.rate(servable.name), int(time.time())
            answered = Answered(servable.name, servable.version, question.signature, rate, now)
            size = len(answer) + sum(array.nbytes for array in question.fetch.arrays)
            self._samples.put(servable.name, partial(question.log, answered, values, answer), size)
        self._end(caller, question, started, answer)

    def _end(self, caller: Caller, question: Question | None, started: float, answer: Answer) -> None:
        self.in_flight -= 1
        self._metrics.end()
        code = answer.code if isinstance(answer, ServingError) else Code.OK
        servable = question.lease.servable if question else None
        seconds = time.perf_counter() - started
        self._metrics.request(
            caller.entrypoint,
            caller.api,
            servable.name if servable else caller.model,
            servable.version if servable else None,
            question.signature if question else "",
            code,
            seconds,
        )
        if question and question.lease.side:
            lease = question.lease
            self._metrics.chosen(lease.name, lease.side, lease.servable.version, code, seconds)
        elif not question and isinstance(answer, ServingError) and answer.chosen:
            self._metrics.chosen(*answer.chosen, code, seconds)
        caller.done(answer)


def _attempt(do: Callable[[], Any]) -> Any:
    """What `do` returns, or its error; a bug becomes one too, and its traceback goes to the log."""
    try:
        return do()
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
        return unforeseen(error, "A request")
