"""A checkpoint after every epoch, as one file that appears whole, and the way back from it.

Keras' BackupAndRestore keeps neither the history nor the state of EarlyStopping with its best weights; a training
that goes on from it can stop at another epoch and keep worse weights.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from pipeline import atomic

if TYPE_CHECKING:
    from pathlib import Path

FILE = "checkpoint.npz"
STATE = ("wait", "stopped_epoch", "best", "best_epoch")


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer, epoch, history and early stopping after every epoch.

    Args:
        folder: Folder of this training, named after its digest.
        early_stopping: Its state is saved and restored with the weights; it must stand before this callback.
        reads_only: Restores and keeps the history, but saves nothing: another process does.
    """

    def __init__(
        self, folder: Path, early_stopping: keras.callbacks.EarlyStopping, *, reads_only: bool = False
    ) -> None:
        super().__init__()
        self.reads_only = reads_only
        self.path = folder / FILE
        self.early_stopping = early_stopping
        self.history: dict[str, list[float]] = {}
        self._restored: dict[str, Any] | None = None

    def restore(self, model: keras.Model) -> int:
        """Puts a model back to where it was and returns the number of finished epochs; 0 without a checkpoint."""
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
    def finished(self) -> bool:
        """Whether early stopping had ended the restored training already."""
        return bool((self._restored or {}).get("stopped_epoch"))  # epochs count from 0, and the first never stops

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Gives early stopping its state back, which it has just reset."""
        for name, value in (self._restored or {}).items():
            setattr(self.early_stopping, name, value)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves everything under one name by one rename."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return  # a diverged training is nothing to go on from: the same command would pass it on as finished
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self.reads_only:
            return
        best = getattr(self.early_stopping, "best_weights", None) or []
        early = {name: _plain(getattr(self.early_stopping, name, None)) for name in STATE}
        state = {"epoch": epoch + 1, "history": self.history, "early_stopping": early, "best_weights": len(best)}
        arrays = {
            **_arrays(self.model.variables, "model"),
            **_arrays(self.model.optimizer.variables, "optimizer"),
            **{f"best/{i}": np.asarray(value) for i, value in enumerate(best)},
        }
        with atomic.file(self.path) as beside, beside.open("wb") as file:
            np.savez(file, **{"state": np.asarray(json.dumps(state)), **arrays})  # type: ignore[arg-type]


def _arrays(variables: Any, prefix: str) -> dict[str, np.ndarray]:
    return {f"{prefix}/{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}


def _assign(variables: Any, saved: Any, prefix: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(saved[f"{prefix}/{i}"])


def _plain(value: Any) -> Any:
    return None if value is None else float(value) if isinstance(value, float | np.floating) else int(value)
