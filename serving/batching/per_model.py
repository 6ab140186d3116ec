"""Choose the scheduler of a request: the server's, or one with the model's own batching parameters."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from serving.batching import shapes
from serving.batching.adaptive import AdaptiveScheduler
from serving.batching.queue import BatchScheduler, BatchThreadPool
from serving.config import files
from serving.errors import ServingError
from serving.options import Batching

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from serving.core.work import Graph, InferenceTask, Scheduler
    from serving.options import ServeOptions

_PARAMETERS_FILE = "batching_params.pbtxt"


def read_parameters(folder: Path) -> Batching | None:
    """A version's own batching parameters; None where it has none. As upstream, a load fails without them.

    Raises:
        ServingError: They cannot be read, or contradict each other.
    """
    file = folder / _PARAMETERS_FILE
    if not file.is_file():
        return None
    batching = files.read_batching(file)
    shapes.check_parameters(batching)
    return batching


def make_scheduler(options: ServeOptions, executor: Executor, record: Callable[..., None]) -> Scheduler:
    """The scheduler that a server's options ask for.

    Args:
        options: The server's.
        executor: Threads that run graphs.
        record: Records each batch.
    """
    batching = options.batching
    if options.per_model_batching:
        threads = batching.threads if isinstance(batching, Batching) else 0
        default = AdaptiveScheduler(executor, merging=False)
        return PerModelScheduler(default, lambda own: BatchScheduler(own, record), threads)
    if isinstance(batching, Batching):
        return BatchScheduler(batching, record)
    return AdaptiveScheduler(executor, merging=batching is not False)


class PerModelScheduler:
    """A scheduler per model. All share their threads, whose number is not the models' to say, as upstream.

    Args:
        default: For models without parameters of their own.
        make: A `BatchScheduler` of parameters.
        threads: Batches that run at a time; 0 for one per processor.
    """

    def __init__(self, default: Scheduler, make: Callable[..., BatchScheduler], threads: int = 0) -> None:
        self._default = default
        self._make = make
        self._pool = BatchThreadPool(threads)
        self._schedulers: weakref.WeakSet[BatchScheduler] = weakref.WeakSet()

    def submit(self, task: InferenceTask) -> None:
        """Run it; answers and ends `task`."""
        model = task.lease.model
        if model.scheduler is None:
            try:
                model.scheduler = self._scheduler_of(model)
            except ServingError as error:
                task.end(error)
                return
        model.scheduler.submit(task)

    def _scheduler_of(self, model: Graph) -> Scheduler:
        batching = read_parameters(model.path)
        if batching is None:
            return self._default
        batches = self._make(batching)
        batches.pool = self._pool
        self._schedulers.add(batches)
        return batches

    def drain(self) -> None:
        """Wait no longer for batches to fill: the server is going away."""
        for batches in self._schedulers:
            batches.drain()
