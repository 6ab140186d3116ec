"""Adaptive batching: run a request at once on an idle machine, and concurrent requests together if that is faster.

A lone request runs in the turn of the event loop that brought it. Requests of one turn, and those that wait for a run
in flight, are joined. What is known to take less than half a millisecond, whatever it contains (`core/cost`), runs on
the event loop itself (a thread costs more than that under load), the rest in threads.

Requests that could share a run wait in one `ShapeQueue`: same model, feeds, fetches and inner shapes. A graph promises
nothing about its rows: it may normalize over the batch, or count its calls. So the first times that requests meet, they
are run both ways, and only after several equal results are they run together only.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from typing import TYPE_CHECKING

from serving.batching import shapes
from serving.core.cost import is_bounded
from serving.core.session import CALLER_THREAD, THREAD_POOL, RunMode
from serving.errors import ServingError, unexpected_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from serving.core.work import Graph, InferenceTask, Outcome, RunArgs, Values


QUICK = 0.0005  # seconds
_PARALLEL = 0.005  # seconds from which on a run's operations may go on at a time
_SLOW = 0.05  # seconds from which on a run is stopped at its deadline
_TIMEOUTS_MS = (1_000, 4_000, 16_000, 64_000, 256_000)  # few: packed strings have a copy of the graph for each
_MAX_QUEUES = 256  # of one model: every inner shape has its own, and clients choose shapes
TRIALS = 3  # equal results before a merged run is trusted alone
MAX_ROWS = 1024  # of one merged run
_WEIGHT = 0.1  # of a measurement that is longer than what is known: most are disturbed by something else
_DECAY = 0.97  # of what a merged run is held to take, each time it is not tried, so that it is tried again


class AdaptiveScheduler:
    """The scheduler without parameters.

    Args:
        executor: Threads for what is not quick.
        merging: Whether requests may share a run at all.
    """

    def __init__(self, executor: Executor, *, merging: bool = True) -> None:
        self._executor = executor
        self._merging = merging
        self._loop = asyncio.get_running_loop()
        self._processors = os.cpu_count() or 1

    def submit(self, task: InferenceTask) -> None:
        """Run it, on this turn of the event loop at the earliest; answers and ends `task`."""
        queue = self._shape_queue(task)
        queue.waiting.append(task)
        if not queue.scheduled:
            queue.scheduled = True
            self._loop.call_soon(self._serve, queue)

    def drain(self) -> None:
        """Nothing waits here for others to come."""

    def _shape_queue(self, task: InferenceTask) -> ShapeQueue:
        model, args = task.lease.model, task.fetch
        key = (args.feeds, args.fetches, args.packed, *[array.shape[1:] for array in args.arrays])
        queue = model.shape_queues.get(key)
        if queue is None:
            if len(model.shape_queues) >= _MAX_QUEUES:
                model.shape_queues.clear()  # queues in use continue; new requests get new ones
            alone = bool(args.packed) or args.rows is None  # what is packed is many rows, or one that is large
            mergeable = self._merging and not alone and model.takes_batches(args)
            queue = model.shape_queues[key] = ShapeQueue(mergeable=mergeable)
        return queue

    def _serve(self, queue: ShapeQueue) -> None:
        queue.scheduled = False
        slots = self._processors if queue.mergeable else math.inf  # what cannot be joined only waits for threads
        while queue.waiting and queue.running < slots:
            group = [task for task in queue.take(self._processors) if not _is_late(task)]
            if not group:
                continue
            if self._is_quick(queue, group):
                _deliver(group, _run(queue, group))
            else:
                self._run_in_thread(queue, group)

    def _is_quick(self, queue: ShapeQueue, group: list[InferenceTask]) -> bool:
        if len(group) > 1 and queue.trust < TRIALS:
            return False
        expected = queue.estimate(sum(task.fetch.rows or 1 for task in group))
        if expected is None or expected >= QUICK:
            return False
        return all(is_bounded(task.lease.model, task.fetch) for task in group)

    def _run_in_thread(self, queue: ShapeQueue, group: list[InferenceTask]) -> None:
        queue.running += 1
        now = time.monotonic()
        timers = [
            self._loop.call_later(max(task.seconds_left(), 0), _expire, queue, task, now)
            for task in group
            if task.deadline < math.inf
        ]
        self._executor.submit(self._run_and_report, queue, group, timers)

    def _run_and_report(self, queue: ShapeQueue, group: list[InferenceTask], timers: list[asyncio.TimerHandle]) -> None:
        outcomes = _run(queue, group)
        self._loop.call_soon_threadsafe(self._after_run, queue, group, timers, outcomes)

    def _after_run(
        self, queue: ShapeQueue, group: list[InferenceTask], timers: list[asyncio.TimerHandle], outcomes: list[Outcome]
    ) -> None:
        queue.running -= 1
        for timer in timers:
            timer.cancel()  # it holds the request's tensors
        _deliver(group, outcomes)
        self._serve(queue)


def _expire(queue: ShapeQueue, task: InferenceTask, started: float) -> None:
    if not task.is_answered:
        task.expire()
        queue.record(task.fetch.rows, time.monotonic() - started)


def _is_late(task: InferenceTask) -> bool:
    """Whether nobody waits for it any more; it is ended then."""
    if task.seconds_left() > 0:
        return False
    task.expire()
    task.end([])
    return True


def _deliver(group: list[InferenceTask], outcomes: list[Outcome]) -> None:
    for task, outcome in zip(group, outcomes, strict=True):
        task.end(outcome)


def _run(queue: ShapeQueue, group: list[InferenceTask]) -> list[Outcome]:
    if len(group) == 1:
        return [_run_single(queue, group[0])]
    if queue.trust < TRIALS:
        return _run_trial(queue, group)
    return _run_merged(queue, group)


def _run_single(queue: ShapeQueue, task: InferenceTask) -> Outcome:
    return _run_timed(queue, task.lease.model, task.fetch, task.seconds_left(), [task])


def _run_merged(queue: ShapeQueue, group: list[InferenceTask]) -> list[Outcome]:
    """One run for all; where it fails each on its own, so that a bad request fails no other."""
    args = shapes.join_rows([task.fetch for task in group])
    outcome = _run_timed(queue, group[0].lease.model, args, max(task.seconds_left() for task in group), group)
    if isinstance(outcome, list):
        try:
            shapes.check_outputs(outcome, args.rows or 0)
            return list(shapes.split_rows(outcome, [task.fetch.rows or 0 for task in group]))
        except ServingError:
            queue.trust = -1
    return [_run_single(queue, task) for task in group]


def _run_trial(queue: ShapeQueue, group: list[InferenceTask]) -> list[Outcome]:
    """Both ways, to learn whether the rows are independent; the single results are answered."""
    apart = [_run_single(queue, task) for task in group]
    if not all(isinstance(outcome, list) for outcome in apart):  # joined it would fail, and show nothing
        return apart
    model = group[0].lease.model
    if not model.reads_only(group[0].fetch.fetches):
        queue.trust = -1
        return apart
    args = shapes.join_rows([task.fetch for task in group])
    together = _run_timed(queue, model, args, max(task.seconds_left() for task in group), [])
    if isinstance(together, list):
        queue.compare(together, apart, args.rows or 0)
    return apart


def _run_timed(queue: ShapeQueue, model: Graph, args: RunArgs, left: float, group: list[InferenceTask]) -> Outcome:
    started = time.perf_counter()
    try:
        outcome: Outcome = model.run(args, _choose_mode(queue.estimate(args.rows) or 0.0, left))
    except ServingError as error:
        outcome = error
    except Exception as error:  # noqa: BLE001 - whoever waits gets an answer, the log the traceback
        outcome = unexpected_error(error, "A run")
    seconds = time.perf_counter() - started
    queue.record(args.rows, seconds)
    for task in group:
        task.seconds = seconds
    return outcome


def _choose_mode(expected: float, left: float) -> RunMode:
    """Chooses how to run, from the expected seconds and the seconds until the deadline."""
    if expected < _PARALLEL:
        return CALLER_THREAD
    return THREAD_POOL if expected < _SLOW else stop_after(left)


def stop_after(left: float) -> RunMode:
    """Returns a mode that aborts the run some time after the deadline."""
    return THREAD_POOL._replace(timeout_ms=next((timeout for timeout in _TIMEOUTS_MS if timeout >= left * 1000), 0))


class ShapeQueue:
    """The waiting requests of one model, with the same feeds, fetches and inner shapes.

    Attributes:
        waiting: Requests that no run has taken yet, oldest first.
        running: Runs in flight in threads.
        scheduled: Whether a look at `waiting` is due.
        trust: Merged runs that gave what single ones did; negative once one did not.
    """

    def __init__(self, *, mergeable: bool) -> None:
        self.waiting: deque[InferenceTask] = deque()
        self.running = 0
        self.scheduled = False
        self.trust = 0 if mergeable else -1
        self._seconds: dict[int, float] = {}

    @property
    def mergeable(self) -> bool:
        """Whether its requests may share a run."""
        return self.trust >= 0

    def estimate(self, rows: int | None) -> float | None:
        """Seconds that a run of so many rows takes; None before one was measured."""
        return self._seconds.get(_size_class(rows))

    def record(self, rows: int | None, seconds: float) -> None:
        """Learn from a run."""
        size = _size_class(rows)
        known = self._seconds.get(size, seconds)
        self._seconds[size] = min(seconds, known + _WEIGHT * (seconds - known))

    def take(self, parallel: int) -> list[InferenceTask]:
        """The next requests to run together; one where that is faster, or where nothing else is known to be right.

        Args:
            parallel: How many runs could go on at a time instead.
        """
        first = self.waiting.popleft()
        if not self.mergeable or not self.waiting:
            return [first]
        group, rows = [first], first.fetch.rows or 0
        while self.waiting and rows + (self.waiting[0].fetch.rows or 0) <= MAX_ROWS:
            group.append(self.waiting.popleft())
            rows += group[-1].fetch.rows or 0
        if not self._pays(group, rows, parallel):
            self.waiting.extendleft(reversed(group[1:]))
            return [first]
        return group

    def _pays(self, group: Sequence[InferenceTask], rows: int, parallel: int) -> bool:
        together = self.estimate(rows)
        singles = [self.estimate(task.fetch.rows) for task in group]
        if together is None:  # nobody knows before it was tried
            return len(group) > 1
        known = [seconds for seconds in singles if seconds is not None]
        pays = len(known) < len(singles) or together < sum(known) / min(parallel, len(group))
        if not pays:
            self._seconds[_size_class(rows)] = together * _DECAY
        return pays

    def compare(self, merged: Values, singles: Sequence[Outcome], rows: int) -> None:
        """Compare a merged run with single ones, and trust or never merge again."""
        try:
            shapes.check_outputs(merged, rows)
        except ServingError:
            self.trust = -1
            return
        sizes = [
            len(outcome[0]) if isinstance(outcome, list) and outcome and outcome[0].ndim else 0 for outcome in singles
        ]
        same = sum(sizes) == rows and all(
            isinstance(outcome, list) and shapes.are_close(part, outcome)
            for part, outcome in zip(shapes.split_rows(merged, sizes), singles, strict=True)
        )
        self.trust = self.trust + 1 if same else -1


def _size_class(rows: int | None) -> int:
    """Sizes that cost about the same: up to the next power of two."""
    return max((rows or 1) - 1, 0).bit_length()
