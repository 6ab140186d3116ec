"""Batching with TensorFlow Serving's parameters: one queue per model, inputs and outputs, shared threads.

The rules are those of `shared_batch_scheduler.h` and `batching_session.cc` of tensorflow/serving. The threads run the
batches of all queues, the one first that is ready longest.
"""

from __future__ import annotations

import asyncio
import math
import os
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from serving.batching import shapes
from serving.batching.adaptive import stop_after
from serving.batching.shapes import BatchTask, split_request
from serving.core.session import CALLER_THREAD, RunMode
from serving.errors import InvalidArgument, ResourceExhausted, ServingError, Unavailable, unexpected_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.core.work import Graph, InferenceTask, Outcome
    from serving.options import Batching


LATE_TEXT = "Run() timeout exceeded while waiting in batching queue"
_QUICK = 0.005  # seconds up to which a run has no deadline and stays in its thread
Key = tuple["Graph", tuple[str, ...], tuple[str, ...]]


class Batch:
    """Tasks that will run together; open for more until it is full or a thread takes it.

    Attributes:
        rows: Its size.
        timer: Rings when it has waited long enough; None once it is ready.
    """

    def __init__(self, owner: BatchScheduler, key: Key) -> None:
        self.rows = 0
        self.timer: asyncio.TimerHandle | None = None
        self.is_ready = False
        self._owner, self.key = owner, key
        self._tasks: list[BatchTask] = []
        self._dropped: list[BatchTask] = []
        self._outcomes: list[Outcome] = []
        self._began = self._seconds = 0.0

    def add(self, task: BatchTask) -> None:
        """Adds a task."""
        self._tasks.append(task)
        self.rows += task.rows

    def begin(self) -> None:
        """Close it: a thread takes it, without the requests that nobody waits for any more."""
        self._began = monotonic()
        self._owner.take_oldest(self.key, [task.work for task in self._tasks])
        self._dropped = [task for task in self._tasks if task.work.is_answered]
        self._tasks = [task for task in self._tasks if not task.work.is_answered]

    def run(self) -> None:
        """Compute the outcome of each task; one bad request fails its whole batch, as upstream."""
        if not self._tasks:
            return
        started = monotonic()
        try:
            self._outcomes = list(self._owner.outcomes(self.key, self._tasks, self._began))
        except ServingError as error:
            self._outcomes = [error] * len(self._tasks)
        except Exception as error:  # noqa: BLE001 - the clients get an answer, the log the traceback
            self._outcomes = [unexpected_error(error, "A batch")] * len(self._tasks)
        self._seconds = monotonic() - started

    def end(self) -> None:
        """Gives each task its outcome."""
        for task, outcome in zip(self._tasks, self._outcomes, strict=True):
            task.work.seconds += self._seconds
            task.answer(outcome)
        for task in self._dropped:
            task.answer([])


class BatchScheduler:
    """The scheduler with parameters; lives on one event loop.

    Args:
        batching: The parameters.
        ran: Told about every run: the model, rows of each request, rows with the padding, seconds that each waited.
        pool: Threads to run in; None for as many as the parameters say.

    Attributes:
        pool: The threads; may be replaced as long as nothing was submitted.

    Raises:
        InvalidArgument: The parameters contradict each other.
    """

    def __init__(
        self,
        batching: Batching,
        ran: Callable[[str, list[int], int, list[float]], None] = lambda *_: None,
        pool: BatchThreadPool | None = None,
    ) -> None:
        shapes.check_parameters(batching)
        self.pool = pool or BatchThreadPool(batching.threads)
        self._batching = batching
        self._ran = ran
        self._loop = asyncio.get_running_loop()
        self._queues: dict[Key, deque[Batch]] = {}  # oldest first; the last one is open
        self._waiting: set[InferenceTask] = set()
        self._deadlines: dict[InferenceTask, asyncio.TimerHandle] = {}
        self._known: weakref.WeakKeyDictionary[Graph, dict[Key, float]] = weakref.WeakKeyDictionary()
        self._timeout = batching.timeout_micros / 1e6
        self._run_rows = shapes.max_run_rows(batching)

    def submit(self, work: InferenceTask) -> None:
        """Queue it; answers and ends `work`."""
        key = (work.lease.model, work.fetch.feeds, work.fetch.fetches)
        queue = self._queues.get(key, ())
        room = self._run_rows - (queue[-1].rows if queue else 0)
        try:
            self._check(shapes.request_rows(work.fetch), len(queue), room)
        except ServingError as error:
            work.end(error)
            return
        self._waiting.add(work)
        if work.deadline < math.inf:
            self._deadlines[work] = self._loop.call_later(max(work.seconds_left(), 0), self._expire, work)
        for task in split_request(
            work, room if self._batching.split_large_batches else math.inf, self._run_rows, self._end
        ):
            self._add(key, task)

    def _check(self, size: int, enqueued: int, room: int) -> None:
        """Refuse what is too large, and what finds no place: there is always one open batch, be it empty."""
        limit, most = self._batching.max_batch_size, self._batching.max_enqueued_batches
        if size > limit:
            raise InvalidArgument(f"Task size {size} is larger than maximum input batch size {limit}")
        enqueued = max(enqueued, 1)
        full = "The batch scheduling queue to which this task was submitted is full; "
        capacity = (most - enqueued) * self._run_rows + room
        if self._batching.split_large_batches:
            if size > capacity:
                raise Unavailable(
                    f"{full}task size is {size} but scheduling capacity is only {capacity} (num_enqueued_batches="
                    f"{enqueued}, max_enqueued_batches={most}, open_batch_size={self._run_rows - room}, "
                    f"max_execution_batch_size={self._run_rows})"
                )
        elif size > room and enqueued >= most:
            raise Unavailable(f"{full}currently {enqueued} batches enqueued and max_enqueued_batches is {most}")

    def _add(self, key: Key, task: BatchTask) -> None:
        queue = self._queues.get(key)
        if queue and queue[-1].rows + task.rows > self._run_rows:
            self._ready(queue[-1])
            queue = None
        batch = queue[-1] if queue else self._open(key)
        batch.add(task)
        if batch.rows >= self._run_rows or not self._timeout:
            self._ready(batch)

    def _open(self, key: Key) -> Batch:
        batch = Batch(self, key)
        self._queues.setdefault(key, deque()).append(batch)
        if self._timeout:
            batch.timer = self._loop.call_later(self._timeout, self._ready, batch)
        return batch

    def _ready(self, batch: Batch) -> None:
        """It may run from now on; others may still join until it does."""
        if batch.is_ready:
            return
        batch.is_ready = True
        if batch.timer:
            batch.timer.cancel()
            batch.timer = None
        self.pool.put(batch)

    def take_oldest(self, key: Key, works: list[InferenceTask]) -> None:
        """A thread takes the oldest batch of a queue, with these requests."""
        queue = self._queues[key]
        queue.popleft()
        if not queue:
            del self._queues[key]
        self._waiting.difference_update(works)

    def outcomes(self, key: Key, waited: list[BatchTask], began: float) -> list[Outcome]:
        """What each task gets from one run for all; called in a thread.

        Raises:
            ServingError: The requests do not fit each other, or the run failed.
        """
        model, rows = key[0], [task.rows for task in waited]
        args = shapes.join_padded([task.fetch for task in waited], self._batching)
        name = waited[0].work.lease.servable.name
        self._ran(name, rows, args.rows or 0, [began - task.since for task in waited])
        mode = self._way(key, max(task.work.seconds_left() for task in waited))
        started = monotonic()
        values = model.run(args, mode)
        self._known.setdefault(model, {})[key] = monotonic() - started
        shapes.check_outputs(values, args.rows or 0)
        return list(shapes.split_rows(values, rows))

    def _way(self, key: Key, left: float) -> RunMode:
        """How to run it: what takes long is stopped some time after nobody waits for it any more."""
        return CALLER_THREAD if self._known.get(key[0], {}).get(key, 0.0) < _QUICK else stop_after(left)

    def _expire(self, work: InferenceTask) -> None:
        if work in self._waiting:
            self._waiting.discard(work)
            work.answer(ResourceExhausted(LATE_TEXT))
        else:
            work.expire()

    def _end(self, work: InferenceTask, outcome: Outcome) -> None:
        deadline = self._deadlines.pop(work, None)
        if deadline:  # it would hold the request's tensors until then
            deadline.cancel()
        work.end(outcome)

    def drain(self) -> None:
        """Wait no longer for batches to fill: the server is going away."""
        self._timeout = 0.0
        for queue in list(self._queues.values()):
            for batch in list(queue):
                self._ready(batch)

    def close(self) -> None:
        """Free the threads; nothing may be waiting."""
        self.pool.close()


class Job(Protocol):
    """Something to run."""

    def begin(self) -> None:
        """A thread is free for it; called on the event loop."""

    def run(self) -> None:
        """Do it, in the thread; raises nothing."""

    def end(self) -> None:
        """It is done; called on the event loop."""


class BatchThreadPool:
    """A number of threads and what is ready to run in them; lives on one event loop.

    Args:
        threads: Jobs at a time; 0 for one per processor.
    """

    def __init__(self, threads: int = 0) -> None:
        self._free = threads or os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(self._free, thread_name_prefix="batch")
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Job] = deque()

    def put(self, job: Job) -> None:
        """Run it as soon as a thread is free."""
        self._ready.append(job)
        self._fill()

    def _fill(self) -> None:
        while self._free and self._ready:
            job = self._ready.popleft()
            self._free -= 1
            job.begin()
            self._executor.submit(self._run, job)

    def _run(self, job: Job) -> None:
        job.run()
        self._loop.call_soon_threadsafe(self._after_job, job)

    def _after_job(self, job: Job) -> None:
        self._free += 1
        try:
            job.end()
        finally:
            self._fill()

    def close(self) -> None:
        """Free the threads; nothing may be waiting."""
        self._executor.shutdown(wait=False)
