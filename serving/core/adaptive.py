"""Runs requests at once where the machine is free, and together where they meet and that is faster.

A lone request is run in the turn of the event loop that brought it. Requests of one turn, and those that wait for
a run in flight, are joined. What is known to take less than half a millisecond runs on the event loop itself (a
thread costs more than that under load); the rest in threads.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from typing import TYPE_CHECKING

from serving.core import merge
from serving.core.engine import CALLER, POOL, Way
from serving.core.lane import TRIALS, Lane
from serving.errors import ServingError, unforeseen

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from serving.core.work import Fetch, Graph, Outcome, Work

QUICK = 0.0005  # seconds
_PARALLEL = 0.005  # seconds from which on a run's operations may go on at a time
_SLOW = 0.05  # seconds from which on a run is stopped at its deadline
_TIMEOUTS_MS = (1_000, 4_000, 16_000, 64_000, 256_000)  # few: each has a copy of the graph
_MAX_LANES = 256  # of one model: every inner shape has its own, and clients choose shapes


class Adaptive:
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

    def submit(self, work: Work) -> None:
        """Run it, on this turn of the event loop at the earliest; answers and ends `work`."""
        lane = self._lane(work)
        lane.waiting.append(work)
        if not lane.scheduled:
            lane.scheduled = True
            self._loop.call_soon(self._serve, lane)

    def drain(self) -> None:
        """Nothing waits here for others to come."""

    def _lane(self, work: Work) -> Lane:
        model, fetch = work.lease.model, work.fetch
        key = (fetch.feeds, fetch.fetches, *[array.shape[1:] for array in fetch.arrays])
        lane = model.lanes.get(key)
        if lane is None:
            if len(model.lanes) >= _MAX_LANES:
                model.lanes.clear()  # lanes in use go on; they are only not found any more
            mergeable = self._merging and fetch.rows is not None and model.takes_batches(fetch)
            lane = model.lanes[key] = Lane(mergeable=mergeable)
        return lane

    def _serve(self, lane: Lane) -> None:
        lane.scheduled = False
        slots = self._processors if lane.mergeable else math.inf  # what cannot be joined only waits for threads
        while lane.waiting and lane.running < slots:
            group = [work for work in lane.take(self._processors) if not _late(work)]
            if not group:
                continue
            if self._is_quick(lane, group):
                _deliver(group, _run(lane, group))
            else:
                self._run_in_thread(lane, group)

    def _is_quick(self, lane: Lane, group: list[Work]) -> bool:
        if len(group) > 1 and lane.trust < TRIALS:
            return False
        expected = lane.expected(sum(work.fetch.rows or 1 for work in group))
        return expected is not None and expected < QUICK

    def _run_in_thread(self, lane: Lane, group: list[Work]) -> None:
        lane.running += 1
        now = time.monotonic()
        timers = [
            self._loop.call_later(max(work.left(), 0), _expire, lane, work, now)
            for work in group
            if work.deadline < math.inf
        ]
        self._executor.submit(self._run_there, lane, group, timers)

    def _run_there(self, lane: Lane, group: list[Work], timers: list[asyncio.TimerHandle]) -> None:
        outcomes = _run(lane, group)
        self._loop.call_soon_threadsafe(self._arrived, lane, group, timers, outcomes)

    def _arrived(
        self, lane: Lane, group: list[Work], timers: list[asyncio.TimerHandle], outcomes: list[Outcome]
    ) -> None:
        lane.running -= 1
        for timer in timers:
            timer.cancel()  # it holds the request's tensors
        _deliver(group, outcomes)
        self._serve(lane)


def _expire(lane: Lane, work: Work, started: float) -> None:
    if not work.answered:
        work.expire()
        lane.measured(work.fetch.rows, time.monotonic() - started)


def _late(work: Work) -> bool:
    """Whether nobody waits for it any more; it is ended then."""
    if work.left() > 0:
        return False
    work.expire()
    work.end([])
    return True


def _deliver(group: list[Work], outcomes: list[Outcome]) -> None:
    for work, outcome in zip(group, outcomes, strict=True):
        work.end(outcome)


def _run(lane: Lane, group: list[Work]) -> list[Outcome]:
    if len(group) == 1:
        return [_single(lane, group[0])]
    if lane.trust < TRIALS:
        return _trial(lane, group)
    return _together(lane, group)


def _single(lane: Lane, work: Work) -> Outcome:
    return _timed(lane, work.lease.model, work.fetch, work.left(), [work])


def _together(lane: Lane, group: list[Work]) -> list[Outcome]:
    """One run for all; where it fails each on its own, so that a bad request fails no other."""
    fetch = merge.joined([work.fetch for work in group])
    outcome = _timed(lane, group[0].lease.model, fetch, max(work.left() for work in group), group)
    if isinstance(outcome, list):
        try:
            merge.check(outcome, fetch.rows or 0)
            return list(merge.parted(outcome, [work.fetch.rows or 0 for work in group]))
        except ServingError:
            lane.trust = -1
    return [_single(lane, work) for work in group]


def _trial(lane: Lane, group: list[Work]) -> list[Outcome]:
    """Both ways, to learn whether the rows are independent; the single results are answered."""
    apart = [_single(lane, work) for work in group]
    model = group[0].lease.model
    if not model.reads_only(group[0].fetch.fetches):
        lane.trust = -1
        return apart
    fetch = merge.joined([work.fetch for work in group])
    together = _timed(lane, model, fetch, max(work.left() for work in group), [])
    if isinstance(together, list):
        lane.judge(together, apart, fetch.rows or 0)
    return apart


def _timed(lane: Lane, model: Graph, fetch: Fetch, left: float, group: list[Work]) -> Outcome:
    started = time.perf_counter()
    try:
        outcome: Outcome = model.run(fetch, _way(lane.expected(fetch.rows) or 0.0, left))
    except ServingError as error:
        outcome = error
    except Exception as error:  # noqa: BLE001 - whoever waits gets an answer, the log the traceback
        outcome = unforeseen(error, "A run")
    seconds = time.perf_counter() - started
    lane.measured(fetch.rows, seconds)
    for work in group:
        work.seconds = seconds
    return outcome


def _way(expected: float, left: float) -> Way:
    """How to run what is expected to take so many seconds and is of no use after `left`."""
    if expected < _PARALLEL:
        return CALLER
    return POOL if expected < _SLOW else until(left)


def until(left: float) -> Way:
    """A run that is stopped some time after nobody waits for it any more."""
    return POOL._replace(timeout_ms=next((timeout for timeout in _TIMEOUTS_MS if timeout >= left * 1000), 0))
