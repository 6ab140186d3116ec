"""Which scheduler a request goes to: the server's, or that of its model's own batching parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving import batching_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.core.batches import Batches
    from serving.core.inference import Scheduler
    from serving.core.work import Work

_FILE = "batching_params.pbtxt"


class Schedule:
    """A scheduler per model.

    Args:
        default: For models without parameters of their own.
        make: A `Batches` of parameters.
    """

    def __init__(self, default: Scheduler, make: Callable[..., Batches]) -> None:
        self._default = default
        self._make = make

    def submit(self, work: Work) -> None:
        """Run it; answers and ends `work`."""
        model = work.lease.model
        if model.scheduler is None:
            file = model.path / _FILE
            model.scheduler = self._make(batching_config.read(file)) if file.is_file() else self._default
        model.scheduler.submit(work)
