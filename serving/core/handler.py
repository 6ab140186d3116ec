"""Handle a request of either transport: read it, run the graph, encode the result.

Small requests are read and answered on the event loop, large ones in threads, so that none delays the others.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from serving.core.cost import Refusals, hold_images, is_medium, is_small
from serving.core.work import InferenceTask, LogMetadata, MemoryBudget, Outcome, RunArgs
from serving.errors import Code, ResourceExhausted, ServingError, unexpected_error
from serving.wire.deadline import run_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor

    from serving.core.servable import ServableHandle
    from serving.core.work import Scheduler, Values

Answer = bytes | ServingError
SlowRead = Callable[[float], "PreparedRequest"]  # reads until a deadline, while its thread waits for another process


class RequestMetrics(Protocol):
    """The metrics recorded for each request."""

    def request(
        self, entrypoint: str, api: str, model: str, version: int | None, signature: str, code: Code, seconds: float
    ) -> None:
        """A request was answered."""

    def add_version(self, model: str, version: int, signatures: Iterable[str]) -> None:
        """Registers a loaded version's name, number and signatures as metric labels."""

    def record_choice(self, model: str, side: str, version: int, code: Code, seconds: float) -> None:
        """Records a request whose version a canary chose."""

    def begin(self) -> None:
        """A request came in."""

    def end(self) -> None:
        """It was answered."""

    def runtime(self, api: str, model: str, seconds: float) -> None:
        """Records how long the graph ran for a request."""

    def examples(self, model: str, count: int) -> None:
        """Records how many examples a request has."""

    def example_total(self, model: str, count: int) -> None:
        """Its examples, for MultiInference only."""


class RequestSampler(Protocol):
    """Keeps a sample of the traffic."""

    def wants(self, model: str) -> bool:
        """Whether to log this request."""

    def rate(self, model: str) -> float:
        """Share of the model's requests that is logged, 0 to 1."""

    def put(self, model: str, make: Callable[[], Any], size: int) -> None:
        """Keep what `make` gives, a `PredictionLog`, some time later."""


@dataclass(slots=True)
class PreparedRequest:
    """A request that was read and checked.

    Attributes:
        lease: The hold on its model.
        signature: Key of the signature.
        fetch: What to run.
        encode: Makes the answer's bytes from the outputs of the graph.
        examples: How many `tf.train.Example`s it carries.
        log: The `PredictionLog` of who answered, what the graph gave, and the answer.
        held: Bytes that are held for what its images unpack to.
    """

    lease: ServableHandle
    signature: str
    fetch: RunArgs
    encode: Callable[[Values], bytes]
    examples: int = 0
    log: Callable[[LogMetadata, Values, bytes], Any] | None = None
    held: int = 0


@dataclass(slots=True)  # one for each request: a frozen one takes three times as long to make
class RequestContext:
    """The caller, method, transport and deadline of a request.

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


class RequestHandler:
    """Answers requests; lives on one event loop.

    Args:
        scheduler: Runs the graphs.
        writers: Threads that write answers of megabytes, which may take half a minute.
        parser: A thread that reads large requests, and writes other answers that are not small.
        metrics: Record every request.
        samples: Keeps some of them; None for no such log.
        concurrent: Requests at a time; None for no limit.
        budget: Bytes that requests may take together; None for any.
        readers: Threads that wait for the process that reads large requests; None for `parser`.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        writers: Executor,
        parser: Executor,
        metrics: RequestMetrics,
        samples: RequestSampler | None = None,
        concurrent: int | None = None,
        budget: MemoryBudget | None = None,
        readers: Executor | None = None,
    ) -> None:
        self.budget, self._readers = budget, readers or parser
        self._scheduler = scheduler
        self._writers, self._parser = writers, parser
        self.metrics = metrics
        self.samples = samples
        self._concurrent = math.inf if concurrent is None else concurrent
        self._loop = asyncio.get_running_loop()
        self.refusals, self.in_flight = Refusals(), 0

    def answer(
        self,
        context: RequestContext,
        read: Callable[[], PreparedRequest | SlowRead],
        fast_path: Callable[[], PreparedRequest | None] | None = None,
    ) -> None:
        """Answer a request.

        Args:
            context: The request's caller, method and deadline.
            read: Reads and checks it; may raise `ServingError`, and must not hold the lease then. What takes long gives
                a function that reads it until a deadline, if the request is large.
            fast_path: Reads a large request without a thread if that takes no time, or else gives None.
        """
        if full := self.enter():
            self.metrics.request(context.entrypoint, context.api, context.model, None, "", full.code, 0.0)
            context.done(full)
            return
        started = time.perf_counter()
        prepared = _attempt(fast_path) if context.large and fast_path else None
        if prepared:
            self._run(context, prepared, started)
        elif context.large:
            self._parser.submit(self._read_in_thread, context, read, started)
        else:
            self._run(context, _attempt(partial(self._prepare, read)), started)

    def enter(self) -> ServingError | None:
        """Counts a request that is going to be answered, until `leave`; returns why it is not."""
        if self.in_flight >= self._concurrent:
            return ResourceExhausted(f"The server answers {self.in_flight} requests already, its limit")
        self.in_flight += 1
        self.metrics.begin()
        return None

    def leave(self) -> None:
        """A request was answered."""
        self.in_flight -= 1
        self.metrics.end()

    def _prepare(self, read: Callable[[], PreparedRequest | SlowRead]) -> PreparedRequest | SlowRead:
        """Reads a request and holds the memory that its images unpack to."""
        prepared = read()
        if not isinstance(prepared, PreparedRequest):
            return prepared
        try:
            prepared.held = hold_images(prepared.lease.model, prepared.fetch, self.budget) if self.budget else 0
        except ServingError as refusal:
            prepared.lease.refuse(refusal)
            raise
        return prepared

    def _read_in_thread(
        self, context: RequestContext, read: Callable[[], PreparedRequest | SlowRead], started: float
    ) -> None:
        prepared = _attempt(partial(run_until, context.deadline, partial(self._prepare, read)))
        if isinstance(prepared, (PreparedRequest, ServingError)):
            self._loop.call_soon_threadsafe(self._run, context, prepared, started)
        else:
            self._readers.submit(self._read_in_thread, context, partial(prepared, context.deadline), started)

    def _run(self, context: RequestContext, prepared: PreparedRequest | ServingError, started: float) -> None:
        if isinstance(prepared, ServingError):
            self._end(context, None, started, prepared)
            return
        self._announce_version(prepared.lease)

        def finish(values: Outcome) -> None:
            self._after_run(context, prepared, task, started, values)

        task = InferenceTask(prepared.lease, prepared.fetch, finish, context.deadline)
        self._scheduler.submit(task)

    def _announce_version(self, lease: ServableHandle) -> None:
        """Names a version to the metrics at its first request; names invented by clients never become labels."""
        if not lease.model.names_announced:
            lease.model.names_announced = True
            self.metrics.add_version(lease.servable.name, lease.servable.version, lease.model.signatures)

    def _after_run(
        self, context: RequestContext, prepared: PreparedRequest, task: InferenceTask, started: float, values: Outcome
    ) -> None:
        if isinstance(values, ServingError):
            self._end(context, prepared, started, values)
            return
        model = prepared.lease.servable.name
        self.metrics.runtime(context.api, model, task.seconds)
        if prepared.examples:
            self.metrics.examples(model, prepared.examples)
            if context.api == "MultiInference":  # upstream counts no others
                self.metrics.example_total(model, prepared.examples)
        if not is_small(values):
            writer = self._parser if is_medium(values) else self._writers
            writer.submit(self._encode_in_thread, context, prepared, started, values)
        else:
            self._after_encode(context, prepared, started, values, _attempt(partial(prepared.encode, values)))

    def _encode_in_thread(
        self, context: RequestContext, prepared: PreparedRequest, started: float, values: Values
    ) -> None:
        answer = _attempt(partial(run_until, context.deadline, partial(prepared.encode, values)))
        self._loop.call_soon_threadsafe(self._after_encode, context, prepared, started, values, answer)

    def _after_encode(
        self, context: RequestContext, prepared: PreparedRequest, started: float, values: Values, answer: Answer
    ) -> None:
        servable = prepared.lease.servable
        if self.samples and prepared.log and isinstance(answer, bytes) and self.samples.wants(servable.name):
            rate, now = self.samples.rate(servable.name), int(time.time())
            metadata = LogMetadata(servable.name, servable.version, prepared.signature, rate, now)
            size = len(answer) + sum(array.nbytes for array in prepared.fetch.arrays)
            self.samples.put(servable.name, partial(prepared.log, metadata, values, answer), size)
        self._end(context, prepared, started, answer)

    def _end(self, context: RequestContext, prepared: PreparedRequest | None, started: float, answer: Answer) -> None:
        self.leave()
        if prepared and prepared.held and self.budget:
            self.budget.give(prepared.held)
        code = answer.code if isinstance(answer, ServingError) else Code.OK
        servable = prepared.lease.servable if prepared else None
        seconds = time.perf_counter() - started
        self.metrics.request(
            context.entrypoint,
            context.api,
            servable.name if servable else context.model,
            servable.version if servable else None,
            prepared.signature if prepared else "",
            code,
            seconds,
        )
        if prepared and prepared.lease.side:
            lease = prepared.lease
            self.metrics.record_choice(lease.name, lease.side, lease.servable.version, code, seconds)
        elif not prepared and isinstance(answer, ServingError) and answer.canary_choice:
            self.metrics.record_choice(*answer.canary_choice, code, seconds)
        self.refusals.send(code, context.done, answer)


def _attempt(do: Callable[[], Any]) -> Any:
    """What `do` returns, or its error; a bug becomes one too, and its traceback goes to the log."""
    try:
        return do()
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
        return unexpected_error(error, "A request")
