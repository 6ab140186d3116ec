"""Threads that run batches of all queues, the one that is ready longest first."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol


class Job(Protocol):
    """Something to run."""

    def begin(self) -> None:
        """A thread is free for it; called on the event loop."""

    def run(self) -> None:
        """Do it, in the thread; raises nothing."""

    def end(self) -> None:
        """It is done; called on the event loop."""


class Pool:
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
        self._loop.call_soon_threadsafe(self._ended, job)

    def _ended(self, job: Job) -> None:
        self._free += 1
        try:
            job.end()
        finally:
            self._fill()

    def close(self) -> None:
        """Free the threads; nothing may be waiting."""
        self._executor.shutdown(wait=False)
