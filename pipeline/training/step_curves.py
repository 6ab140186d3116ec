"""Points of the curves within an epoch: loss, metrics, learning rate, gradient norm and speed, about once a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras

from pipeline import journal

if TYPE_CHECKING:
    from pipeline.training.gradient_norm import GradientNorm

INTERVAL_S = 1.0
SHARE = 1 / 500  # of the time so far, beyond which points come less often: an hour has about 1,500


class StepCurves(keras.callbacks.Callback):
    """Tells the journal; reading the numbers waits for the device, hence not at every step.

    Args:
        steps: Batches per epoch.
        batch_size: Rows per batch.
        gradient_norm: Stands before the model's optimizer.
    """

    def __init__(self, steps: int, batch_size: int, gradient_norm: GradientNorm) -> None:
        super().__init__()
        self.steps, self.batch_size, self.gradient_norm = steps, batch_size, gradient_norm
        self._began = time.monotonic()
        self._told = self._since = 0.0  # when the last point was told, and from when on its speed is measured
        self._epoch = self._counted = 0
        self._due = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Leaves out of the speed what lies between the epochs: validation and the checkpoint."""
        self._epoch, self._counted, self._since = epoch, 0, time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Asks for the gradient's norm if it is time for a point."""
        now = time.monotonic()
        self._due = now - self._told > max(INTERVAL_S, SHARE * (now - self._began))
        if self._due:
            self.gradient_norm.ask()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Tells the point."""
        if self._due:
            point = self._point(logs or {})
            now = time.monotonic()  # the numbers are there when the device has done all steps up to here
            if self._told:  # the first step of all is compiled, which has no speed
                point["samples_per_second"] = (batch + 1 - self._counted) * self.batch_size / (now - self._since)
            step = self._epoch * self.steps + batch + 1
            journal.report("curve", epoch=self._epoch + 1, step=step, metrics=point)
            self._told = self._since = now
            self._counted = batch + 1

    def _point(self, logs: dict[str, float]) -> dict[str, float]:
        point = {name: float(value) for name, value in logs.items()}
        point["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        point["gradient_norm"] = self.gradient_norm.read()
        return point
