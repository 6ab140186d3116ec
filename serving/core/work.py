"""One run of a graph for one request: feeds, fetches, deadline and callback.

Also the interfaces of schedulers and models (`Scheduler`, `Graph`), and the budget of bytes for concurrent requests.
"""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from serving.errors import DeadlineExceeded, ResourceExhausted, ServingError
from serving.wire.deadline import LATE_TEXT
from serving.wire.strings import Strings, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from serving.core.session import RunMode
    from serving.core.signature import Signature


Values = list[Tensor]
FULL_TEXT = "The server holds as many bytes of requests as it may. Try again later"
_CGROUP = Path("/sys/fs/cgroup/memory.max")
Outcome = Values | ServingError


class RunArgs:
    """The arguments of one run of a graph.

    Args:
        feeds: Names of the tensors that are fed, sorted as TensorFlow's session numbers its arguments.
        fetches: Names of the tensors to compute.
        arrays: The fed values, of the tensors' types, in the order of `feeds`.

    Attributes:
        rows: The batch size; None where the inputs do not share one.
        packed: Names of the tensors that are fed as `Strings`.
    """

    __slots__ = ("arrays", "feeds", "fetches", "packed", "rows")

    def __init__(self, feeds: tuple[str, ...], fetches: tuple[str, ...], arrays: Values) -> None:
        self.feeds, self.fetches, self.arrays = feeds, fetches, arrays
        self.rows = _rows(arrays)
        self.packed = tuple([name for name, array in zip(feeds, arrays, strict=True) if isinstance(array, Strings)])


def _rows(arrays: Values) -> int | None:
    sizes = {array.shape[0] if array.ndim else None for array in arrays}
    return sizes.pop() if len(sizes) == 1 else None


class Scheduler(Protocol):
    """Decides when a request runs, and with which others."""

    def submit(self, work: InferenceTask) -> None:
        """Run it; answers and ends `work`."""

    def drain(self) -> None:
        """Wait no longer for requests to share a run with: the server is going away."""


class Graph(Protocol):
    """A loaded model as methods and schedulers know it.

    Attributes:
        shape_queues: What a scheduler has learned about requests that could share a run.
        scheduler: Who runs its requests, once one came.
        decoders: Operations that decode images or recordings.
        unchecked_decoders: Those that see bytes which nothing has checked.
        has_loops: Whether it repeats operations as often as its inputs say.
    """

    shape_queues: dict[object, Any]
    scheduler: Scheduler | None
    decoders: set[str]
    unchecked_decoders: set[str]
    has_loops: bool

    @property
    def path(self) -> Path:
        """Folder of the version."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be called, by name."""

    def run(self, args: RunArgs, mode: RunMode = ...) -> Values:
        """Run the graph."""

    def takes_batches(self, args: RunArgs) -> bool:
        """Whether all that is fed and fetched has a first dimension of any size."""

    def reads_only(self, fetches: Sequence[str]) -> bool:
        """Whether computing these tensors changes nothing and draws no random numbers."""


class Handle(Protocol):
    """A request's hold on a loaded version (`serving.core.servable.ServableHandle`)."""

    @property
    def model(self) -> Graph:
        """What the version is loaded as."""

    @property
    def servable(self) -> Any:
        """The version, with its name and number."""

    def release(self) -> None:
        """The request is done with the model."""


class Peers(Protocol):
    """The other processes of a server (`serving.process.worker`), and how many died in this one's place."""

    deaths: int

    def listen(self, answers: Mapping[str, Callable[[Any], Any]]) -> None:
        """Starts to answer the requests of other processes, by kind."""

    def ask(self, kind: str, content: Any) -> list[Any]:
        """What the others answer."""


@dataclass(frozen=True)
class LogMetadata:
    """Who answered a request, and why it is in the request log.

    Attributes:
        model: Name of the model.
        version: Its version.
        signature: Key of the signature that was run.
        rate: Share of the requests that are logged, to weigh this one with; 0 to have `RequestLog.put` fill it in.
        timestamp: Unix time in whole seconds; 0 to have `RequestLog.put` fill it in.
        tags: Tags of the graph.
    """

    model: str
    version: int
    signature: str
    rate: float = 0.0
    timestamp: int = 0
    tags: tuple[str, ...] = ("serve",)


class InferenceTask:
    """A run (`RunArgs`) on its way; answered once, by its result or by its deadline.

    Args:
        lease: The hold on the model, released by `end`.
        args: The run.
        answer: Called with the values or the error, at most once.
        deadline: When the caller stops waiting, by `time.monotonic`.
    """

    __slots__ = ("_answer", "deadline", "fetch", "lease", "seconds")

    def __init__(
        self,
        lease: Handle,
        args: RunArgs,
        answer: Callable[[Outcome], None],
        deadline: float = math.inf,
    ) -> None:
        self.lease, self.fetch, self.deadline = lease, args, deadline
        self.seconds = 0.0
        self._answer: Callable[[Outcome], None] | None = answer

    @property
    def is_answered(self) -> bool:
        """Whether nobody waits any more."""
        return self._answer is None

    def answer(self, outcome: Outcome) -> None:
        """Sends the result to the caller; a second result is dropped."""
        answer, self._answer = self._answer, None
        if answer:
            answer(outcome)

    def end(self, outcome: Outcome) -> None:
        """The run is over, or never began: the model may go, the caller gets the outcome."""
        self.lease.release()
        self.answer(outcome)

    def seconds_left(self) -> float:
        """Seconds until the deadline; infinite where there is none."""
        return self.deadline - time.monotonic()

    def expire(self) -> None:
        """The deadline has passed: the caller waits no longer, whatever the graph still does."""
        self.answer(DeadlineExceeded(LATE_TEXT))


class MemoryBudget:
    """Bytes that may be held; threads share it.

    Args:
        limit: At most so many; None for half of the memory that this process may use.

    Attributes:
        limit: The same in bytes.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = available_memory() // 2 if limit is None else limit
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Hold `size` more bytes; False, and nothing held, where that is too much."""
        with self._lock:
            if self._held + size > self.limit:
                return False
            self._held += size
            return True

    def give(self, size: int) -> None:
        """Hold `size` bytes less."""
        with self._lock:
            self._held -= size

    def fits(self, size: int) -> bool:
        """Whether so many bytes more could be held now."""
        return self._held + size <= self.limit

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Holds bytes as long as the block runs.

        Raises:
            ResourceExhausted: There are too many already.
        """
        if not self.take(size):
            raise ResourceExhausted(FULL_TEXT)
        try:
            yield
        finally:
            self.give(size)


def available_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return machine
