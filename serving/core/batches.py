"""Batching with TensorFlow Serving's parameters: one queue per model, inputs and outputs, shared threads.

The rules are those of `shared_batch_scheduler.h` and `batching_session.cc` of tensorflow/serving.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from serving.core import batch_shape, merge
from serving.core.work import Fetch, Values, Work
from serving.errors import InvalidArgument, ResourceExhausted, ServingError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.options import Batching

Outcome = Values | ServingError
LATE = "Run() timeout exceeded while waiting in batching queue"


@dataclass(frozen=True, slots=True)
class Task:
    """A request, or a slice of one that was larger than a batch.

    Attributes:
        work: The request.
        fetch: Its rows that belong to this task.
        answer: Called with the task's outcome, once.
    """

    work: Work
    fetch: Fetch
    answer: Callable[[Outcome], None]

    @property
    def rows(self) -> int:
        """Size of the task."""
        return self.fetch.rows or 0


@dataclass(slots=True)
class Batch:
    """Tasks that will run together; open as long as more may join."""

    opened: float
    tasks: list[Task] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Size of the batch."""
        return sum(task.rows for task in self.tasks)


@dataclass(slots=True)
class Queue:
    """The batches of one model with the same inputs and outputs, oldest first; the last one is open."""

    batches: deque[Batch] = field(default_factory=deque)


class Batches:
    """The scheduler with parameters.

    Args:
        batching: The parameters.
        ran: Told about every run: the model, rows of each request, rows with the padding, seconds that each waited.

    Raises:
        InvalidArgument: The parameters contradict each other.
    """

    def __init__(
        self, batching: Batching, ran: Callable[[str, list[int], int, list[float]], None] = lambda *_: None
    ) -> None:
        batch_shape.check(batching)
        self._batching = batching
        self._ran = ran
        self._loop = asyncio.get_running_loop()
        self._free = batching.threads or os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(self._free, thread_name_prefix="batch")
        self._queues: dict[object, Queue] = {}

    @property
    def _run_rows(self) -> int:
        """Rows of one run at most."""
        if self._batching.split_large_batches and self._batching.max_execution_batch_size:
            return self._batching.max_execution_batch_size
        return self._batching.max_batch_size

    def submit(self, work: Work) -> None:
        """Queue it; answers and ends `work`."""
        try:
            tasks = self._tasks(work)
            self._enqueue((id(work.lease.model), work.fetch.feeds, work.fetch.fetches), tasks)
        except ServingError as error:
            work.end(error)
            return
        if work.deadline < math.inf:
            self._loop.call_later(max(work.left(), 0), self._expire, work)
        self._dispatch()

    def _expire(self, work: Work) -> None:
        waiting = any(
            task.work is work for queue in self._queues.values() for batch in queue.batches for task in batch.tasks
        )
        work.answer(ResourceExhausted(LATE)) if waiting else work.expire()

    def _tasks(self, work: Work) -> list[Task]:
        size, limit = batch_shape.rows(work.fetch), self._batching.max_batch_size
        if size > limit:
            raise InvalidArgument(f"Task size {size} is larger than maximum input batch size {limit}")
        if size <= self._run_rows:
            return [Task(work, work.fetch, work.end)]
        return _slices(work, self._run_rows)

    def _enqueue(self, key: object, tasks: list[Task]) -> None:
        queue = self._queues.setdefault(key, Queue())
        if len(tasks) > 1 and len(queue.batches) + len(tasks) > self._batching.max_enqueued_batches:
            self._refuse(queue)
        for task in tasks:
            if not queue.batches or queue.batches[-1].rows + task.rows > self._run_rows:
                self._open(queue)
            queue.batches[-1].tasks.append(task)

    def _open(self, queue: Queue) -> None:
        if len(queue.batches) >= self._batching.max_enqueued_batches:
            self._refuse(queue)
        queue.batches.append(Batch(monotonic()))
        self._loop.call_later(self._batching.timeout_micros / 1e6, self._dispatch)

    def _refuse(self, queue: Queue) -> NoReturn:
        raise Unavailable(
            "The batch scheduling queue to which this task was submitted is full; currently "
            f"{len(queue.batches)} batches enqueued and max_enqueued_batches is {self._batching.max_enqueued_batches}"
        )

    def _dispatch(self) -> None:
        """Start what is ready: full batches, and open ones that have waited long enough; oldest first."""
        while self._free:
            ready = [(queue.batches[0].opened, key) for key, queue in self._queues.items() if self._is_ready(queue)]
            if not ready:
                return
            key = min(ready, key=lambda item: item[0])[1]
            queue = self._queues[key]
            batch = queue.batches.popleft()
            if not queue.batches:
                del self._queues[key]
            self._free -= 1
            self._executor.submit(self._run_there, batch)

    def _is_ready(self, queue: Queue) -> bool:
        first = queue.batches[0]
        full = len(queue.batches) > 1 or first.rows >= self._run_rows
        # A timer may ring a little early.
        return full or monotonic() - first.opened >= self._batching.timeout_micros / 1e6 - 1e-4

    def _run_there(self, batch: Batch) -> None:
        waited = monotonic() - batch.opened
        tasks = [task for task in batch.tasks if not task.work.answered]
        outcomes = self._outcomes(tasks, waited) if tasks else []
        dropped = [task for task in batch.tasks if task not in tasks]
        self._loop.call_soon_threadsafe(self._arrived, tasks, outcomes, dropped)

    def _outcomes(self, tasks: list[Task], waited: float) -> list[Outcome]:
        """The result of each task; one bad request fails its whole batch, as upstream."""
        started = monotonic()
        try:
            fetch = batch_shape.joined([task.fetch for task in tasks], self._batching)
            values = tasks[0].work.lease.model.run(fetch)
            merge.check(values, fetch.rows or 0)
        except ServingError as error:
            return [error] * len(tasks)
        for task in tasks:
            task.work.seconds = monotonic() - started
        rows = [task.rows for task in tasks]
        self._ran(tasks[0].work.lease.servable.name, rows, fetch.rows or 0, [waited] * len(tasks))
        return list(merge.parted(values, rows))

    def _arrived(self, tasks: list[Task], outcomes: list[Outcome], dropped: list[Task]) -> None:
        self._free += 1
        for task, outcome in zip(tasks, outcomes, strict=True):
            task.answer(outcome)
        for task in dropped:
            task.answer([])
        self._dispatch()

    def close(self) -> None:
        """Free its threads; nothing may be waiting."""
        self._executor.shutdown(wait=False)


def _slices(work: Work, size: int) -> list[Task]:
    """The request cut into runs; it is answered when all of them are."""
    total = work.fetch.rows or 0
    parts: list[Outcome | None] = [None] * math.ceil(total / size)
    return [
        Task(
            work,
            Fetch(work.fetch.feeds, work.fetch.fetches, [array[at : at + size] for array in work.fetch.arrays]),
            partial(_collect, work, parts, index),
        )
        for index, at in enumerate(range(0, total, size))
    ]


def _collect(work: Work, parts: list[Outcome | None], index: int, outcome: Outcome) -> None:
    import numpy as np

    parts[index] = outcome
    if any(part is None for part in parts):
        return
    failed = [part for part in parts if isinstance(part, ServingError)]
    if failed or work.answered:
        work.end(failed[0] if failed else [])
        return
    columns = zip(*(part for part in parts if isinstance(part, list)), strict=True)
    work.end([np.concatenate(column) for column in columns])
