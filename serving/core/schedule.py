"""Which scheduler a request goes to: the server's, or that of its model's own batching parameters."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from serving import batching_config
from serving.core import batch_shape
from serving.core.batch_pool import Pool
from serving.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.core.batches import Batches
    from serving.core.work import Graph, Scheduler, Work
    from serving.options import Batching

_FILE = "batching_params.pbtxt"


def parameters(folder: Path) -> Batching | None:
    """A version's own batching parameters; None where it has none. As upstream, a load fails without them.

    Raises:
        ServingError: They cannot be read, or contradict each other.
    """
    file = folder / _FILE
    if not file.is_file():
        return None
    batching = batching_config.read(file)
    batch_shape.check(batching)
    return batching


class Schedule:
    """A scheduler per model. All share their threads, whose number is not the models' to say, as upstream.

    Args:
        default: For models without parameters of their own.
        make: A `Batches` of parameters.
        threads: Batches that run at a time; 0 for one per processor.
    """

    def __init__(self, default: Scheduler, make: Callable[..., Batches], threads: int = 0) -> None:
        self._default = default
        self._make = make
        self._pool = Pool(threads)
        self._made: weakref.WeakSet[Batches] = weakref.WeakSet()

    def submit(self, work: Work) -> None:
        """Run it; answers and ends `work`."""
        model = work.lease.model
        if model.scheduler is None:
            try:
                model.scheduler = self._of(model)
            except ServingError as error:
                work.end(error)
                return
        model.scheduler.submit(work)

    def _of(self, model: Graph) -> Scheduler:
        batching = parameters(model.path)
        if batching is None:
            return self._default
        batches = self._make(batching)
        batches.pool = self._pool
        self._made.add(batches)
        return batches

    def drain(self) -> None:
        """Wait no longer for batches to fill: the server is going away."""
        for batches in self._made:
            batches.drain()
