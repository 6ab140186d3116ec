"""Reports the training to the run's journal: within an epoch for the live view, after it for MLflow."""

from __future__ import annotations

import math
import time
from typing import Any

import keras

from pipeline import journal
from pipeline.errors import PipelineError

INTERVAL_S = 0.25


class Progress(keras.callbacks.Callback):
    """Args: rows: Rows per epoch, for samples per second."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self._epoch = 0
        self._reported = self._started = 0.0
        self._validating = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Starts the clock."""
        self._epoch, self._started, self._validating = epoch + 1, time.monotonic(), 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Reports at most four times a second: reading the metrics waits for the device."""
        now = time.monotonic()
        if now - self._reported > INTERVAL_S:
            self._reported = now
            values = {name: float(value) for name, value in (logs or {}).items()}
            journal.report("progress", epoch=self._epoch, step=batch + 1, metrics=values)

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Ends the training part of the epoch."""
        self._validating = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the epoch; a loss that is no number ends the training.

        Raises:
            PipelineError: The training diverged.
        """
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        metrics["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = time.monotonic() - self._started
        journal.report(
            "epoch",
            epoch=epoch + 1,
            seconds=seconds,
            samples_per_second=self.rows / (self._validating or seconds),
            metrics=metrics,
        )
        if not math.isfinite(metrics["loss"]):
            raise PipelineError(
                f"The training diverged in epoch {epoch + 1}.",
                expected="a finite loss",
                received=f"loss {metrics['loss']} at learning rate {metrics['learning_rate']:g}",
                action="lower it with --set learning_rate=…, or clip gradients in the recipe's optimizer",
            )
