"""Keras callbacks of a training: checkpoints, progress, curves within an epoch, and the norm of the gradient.

Keras' BackupAndRestore saves neither the history nor the state of EarlyStopping with its best weights; a training
resumed from it can stop at another epoch and keep worse weights. So a checkpoint here is one file with all of it,
replaced atomically after every epoch. Progress and curves go to the run's journal, for the live view and MLflow;
reading the metrics waits for the device, so both report only now and then.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.store import fileio, journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


CHECKPOINT_FILE = "checkpoint.npz"
STOPPING_STATE = ("wait", "stopped_epoch", "best", "best_epoch")
PROGRESS_INTERVAL_S = 0.25
CURVE_INTERVAL_S = 1.0
CURVE_TIME_SHARE = 1 / 500  # of the time so far between two points, at least: an hour has about 1,500 points


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer, epoch, history and early stopping after every epoch.

    Args:
        folder: Folder of this training, named after its digest.
        early_stopping: Its state is saved and restored with the weights; it must come before this callback.
        reads_only: Restores and records the history, but saves nothing: another process does.
    """

    def __init__(
        self, folder: Path, early_stopping: keras.callbacks.EarlyStopping, *, reads_only: bool = False
    ) -> None:
        super().__init__()
        self.reads_only = reads_only
        self.path = folder / CHECKPOINT_FILE
        self.early_stopping = early_stopping
        self.history: dict[str, list[float]] = {}
        self._restored: dict[str, Any] | None = None

    def restore(self, model: keras.Model) -> int:
        """Restores a model and returns the number of finished epochs; 0 without a checkpoint."""
        if not self.path.exists():
            return 0
        with np.load(self.path, allow_pickle=False) as saved:
            state = json.loads(str(saved["state"]))
            model.optimizer.build(model.trainable_variables)
            _assign(model.variables, saved, "model")
            _assign(model.optimizer.variables, saved, "optimizer")
            best = [saved[f"best/{i}"] for i in range(state["best_weights"])]
        self.history = state["history"]
        self._restored = {**state["early_stopping"], "best_weights": best or None}
        return int(state["epoch"])

    @property
    def is_finished(self) -> bool:
        """Whether early stopping had ended the restored training already."""
        return bool((self._restored or {}).get("stopped_epoch"))  # epochs count from 0, and the first never stops

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Restores the state of early stopping, which has just reset it."""
        for name, value in (self._restored or {}).items():
            setattr(self.early_stopping, name, value)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves everything in one file, replaced by one rename."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return  # a diverged training must not be resumed: the same command would report it as finished
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self.reads_only:
            return
        best = getattr(self.early_stopping, "best_weights", None) or []
        early = {name: _to_number(getattr(self.early_stopping, name, None)) for name in STOPPING_STATE}
        state = {"epoch": epoch + 1, "history": self.history, "early_stopping": early, "best_weights": len(best)}
        arrays = {
            **_to_arrays(self.model.variables, "model"),
            **_to_arrays(self.model.optimizer.variables, "optimizer"),
            **{f"best/{i}": np.asarray(value) for i, value in enumerate(best)},
        }
        with fileio.replace_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{"state": np.asarray(json.dumps(state)), **arrays})  # type: ignore[arg-type]


def _to_arrays(variables: Any, prefix: str) -> dict[str, np.ndarray]:
    return {f"{prefix}/{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}


def _assign(variables: Any, saved: Any, prefix: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(saved[f"{prefix}/{i}"])


def _to_number(value: Any) -> Any:
    return None if value is None else float(value) if isinstance(value, float | np.floating) else int(value)


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
        """Reports the epoch; a loss that is not finite ends the training.

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


class StepCurves(keras.callbacks.Callback):
    """Reports points of the curves to the journal, not at every step: reading the metrics waits for the device.

    Args:
        steps: Batches per epoch.
        batch_size: Rows per batch.
        gradient_norm: Attached to the model's optimizer.
    """

    def __init__(self, steps: int, batch_size: int, gradient_norm: GradientNorm) -> None:
        super().__init__()
        self.steps, self.batch_size, self.gradient_norm = steps, batch_size, gradient_norm
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
        return point


class GradientNorm:
    """The global norm of the gradients, computed within the training step: a second pass would cost another step.

    With several replicas it is that of the first one, before gradients are aggregated and clipped. Create it in the
    scope of the model's strategy.

    Args:
        optimizer: The compiled model's optimizer.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.optimizer = optimizer
        self._wanted = tf.Variable(initial_value=False, trainable=False, aggregation=first)
        self._norm = tf.Variable(float("nan"), trainable=False, aggregation=first)

    def request(self) -> None:
        """Has the next step compute the norm; other steps pay for one comparison."""
        self._wanted.assign(value=True)

    def read(self) -> float:
        """Returns the norm of the last step; NaN if a custom training step does not use the optimizer."""
        self._wanted.assign(value=False)
        return float(self._norm.numpy())

    @contextmanager
    def attach(self) -> Iterator[None]:
        """Wraps the optimizer's `apply` during the block."""
        original = self.optimizer.apply

        def apply(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            # Assigned outside the branch, where a distribution strategy can copy it from one device to another.
            self._norm.assign(tf.cond(self._wanted, lambda: self._norm_of(grads), lambda: float("nan")))
            return original(grads, trainable_variables)

        self.optimizer.apply = apply
        try:
            yield
        finally:
            del self.optimizer.apply  # uncovers the method of its class

    def _norm_of(self, grads: Sequence[Any]) -> tf.Tensor:
        # Half precision scales the loss up, and the gradients with it.
        scale = tf.cast(tf.convert_to_tensor(getattr(self.optimizer, "dynamic_scale", 1.0)), tf.float32)
        gradients = [tf.cast(gradient, tf.float32) for gradient in grads if gradient is not None]
        return tf.linalg.global_norm(gradients) / scale
