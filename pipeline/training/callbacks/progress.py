"""Progress of a training and the curves within an epoch, for the live view and MLflow.

Both go to the run's journal; reading the metrics waits for the device, so both report only now and then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras

from pipeline.store import journal

if TYPE_CHECKING:
    from pipeline.training.callbacks.gradient_norm import GradientNorm

PROGRESS_INTERVAL_S = 0.25
CURVE_INTERVAL_S = 1.0
CURVE_TIME_SHARE = 1 / 500  # of the time so far between two points, at least: an hour has about 1,500 points


class Progress(keras.callbacks.Callback):
    """Reports batches and epochs to the journal.

    Args:
        rows: Rows per epoch, for samples per second.
    """

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
        if now - self._reported > PROGRESS_INTERVAL_S:
            self._reported = now
            values = {name: float(value) for name, value in (logs or {}).items()}
            journal.report("progress", epoch=self._epoch, step=batch + 1, metrics=values)

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Stops the clock of the epoch's training part."""
        self._validating = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the epoch."""
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


class StepCurves(keras.callbacks.Callback):
    """Reports points of the curves to the journal, not at every step: reading the metrics waits for the device.

    Args:
        steps: Batches per epoch.
        batch_size: Rows per batch.
        gradient_norm: Attached to the model's optimizer.

    Attributes:
        norms: Those of the points, for whoever watches them and empties the list.
    """

    def __init__(self, steps: int, batch_size: int, gradient_norm: GradientNorm) -> None:
        super().__init__()
        self.steps, self.batch_size, self.gradient_norm = steps, batch_size, gradient_norm
        self.norms: list[float] = []
        self._began = time.monotonic()
        self._last_point = self._since = 0.0  # when the last point was reported, and since when its speed is measured
        self._epoch = self._first_batch = 0
        self._due = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Excludes the time between epochs from the speed: validation and the checkpoint."""
        self._epoch, self._first_batch, self._since = epoch, 0, time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Requests the gradient's norm if a point is due."""
        now = time.monotonic()
        self._due = now - self._last_point > max(CURVE_INTERVAL_S, CURVE_TIME_SHARE * (now - self._began))
        if self._due:
            self.gradient_norm.request()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the point."""
        if self._due:
            point = self._point(logs or {})
            now = time.monotonic()  # reading the metrics has waited for all steps up to here
            if self._last_point:  # the first step includes the compilation
                point["samples_per_second"] = (batch + 1 - self._first_batch) * self.batch_size / (now - self._since)
            step = self._epoch * self.steps + batch + 1
            journal.report("curve", epoch=self._epoch + 1, step=step, metrics=point)
            self._last_point = self._since = now
            self._first_batch = batch + 1

    def _point(self, logs: dict[str, float]) -> dict[str, float]:
        point = {name: float(value) for name, value in logs.items()}
        point["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        point["gradient_norm"] = self.gradient_norm.read()
        self.norms.append(point["gradient_norm"])
        return point
