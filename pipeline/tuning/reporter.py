"""A Keras callback that tells the search of every epoch, and ends a trial that it gives up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

MONITORED = "val_loss"  # the weights of its best epoch are the ones that a training keeps


class PrunedError(Exception):
    """The search has given the trial up."""


class UnknownObjectiveError(PipelineError):
    """The network is not measured by what the search is to improve."""


class Reporter(keras.callbacks.Callback):
    """Reports, and keeps what is needed to say how good the kept weights are.

    Args:
        objective: Name of the metric that the search improves.
        report: (epoch, metrics) -> whether to go on; the first epoch is 1.
    """

    def __init__(self, objective: str, report: Callable[[int, dict[str, float]], bool]) -> None:
        super().__init__()
        self.objective = objective
        self.report = report
        self.epochs = 0
        self._fit: list[dict[str, float]] = []  # of the last fit, where a recipe tunes finely

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Forgets an earlier fit: the weights that are kept are this one's."""
        self._fit = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the epoch.

        Raises:
            PrunedError: The trial is given up.
            UnknownObjectiveError: There is no such metric.
        """
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        for name in (self.objective, MONITORED):
            if name not in metrics:
                known = ", ".join(found for found in metrics if found.startswith("val_")) or "none"
                raise UnknownObjectiveError(
                    f"The network has no metric {name!r}.", expected=f"--objective with one of {known}", received=name
                )
        self._fit.append(metrics)
        self.epochs = epoch + 1
        if not self.report(self.epochs, metrics):
            raise PrunedError

    def value(self) -> float:
        """The objective of the weights that were kept.

        Raises:
            PipelineError: It is no number.
        """
        best = min(self._fit, key=lambda metrics: metrics[MONITORED])[self.objective]
        if not math.isfinite(best):
            raise PipelineError(f"{self.objective} is not a number.", received=best)
        return best
