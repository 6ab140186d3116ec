"""Saves a training after every epoch, so that it goes on where it was killed.

Keras' BackupAndRestore saves neither the history nor the state of EarlyStopping with its best weights; a training
resumed from it can stop at another epoch and keep worse weights. So a checkpoint here is one file with all of it,
replaced atomically after every epoch.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from pipeline.store import fileio

if TYPE_CHECKING:
    from pathlib import Path


CHECKPOINT_FILE = "checkpoint.npz"
STOPPING_STATE = ("wait", "stopped_epoch", "best", "best_epoch")


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizers, epoch, history and early stopping after every epoch.

    Args:
        folder: Folder of this training, named after its digest.
        early_stopping: Its state is saved and restored with the weights; it must come before this callback.
        reads_only: Restores and records the history, but saves nothing: another process does.

    Attributes:
        state: Arrays that a training of its own kind adds, such as a replay memory; saved and restored, too.
    """

    def __init__(
        self, folder: Path, early_stopping: keras.callbacks.EarlyStopping, *, reads_only: bool = False
    ) -> None:
        super().__init__()
        self.reads_only = reads_only
        self.path = folder / CHECKPOINT_FILE
        self.early_stopping = early_stopping
        self.history: dict[str, list[float]] = {}
        self.state: dict[str, np.ndarray] = {}
        self._restored: dict[str, Any] | None = None

    def restore(self, model: keras.Model) -> int:
        """Restores a model and returns the number of finished epochs; 0 without a checkpoint."""
        if not self.path.exists():
            return 0
        with np.load(self.path, allow_pickle=False) as saved:
            state = json.loads(str(saved["state"]))
            _assign(model.variables, saved, "model")
            for number, optimizer in enumerate(find_optimizers(model)):
                if not optimizer.built:
                    optimizer.build(model.trainable_variables)
                _assign(optimizer.variables, saved, f"optimizer-{number}")
            best = [saved[f"best/{i}"] for i in range(state["best_weights"])]
            self.state = {name: saved[f"own/{name}"] for name in state["own"]}
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
        state = {
            "epoch": epoch + 1,
            "history": self.history,
            "early_stopping": early,
            "best_weights": len(best),
            "own": list(self.state),
        }
        arrays = {
            **_to_arrays(self.model.variables, "model"),
            **{f"best/{i}": np.asarray(value) for i, value in enumerate(best)},
            **{f"own/{name}": np.asarray(value) for name, value in self.state.items()},
        }
        for number, optimizer in enumerate(find_optimizers(self.model)):
            arrays |= _to_arrays(optimizer.variables, f"optimizer-{number}")
        with fileio.replace_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{"state": np.asarray(json.dumps(state)), **arrays})  # type: ignore[arg-type]


def find_optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the compiled optimizer, then those that a model with a training step of its own has as attributes."""
    others = [value for name, value in sorted(vars(model).items()) if isinstance(value, keras.optimizers.Optimizer)]
    return [model.optimizer, *(each for each in others if each is not model.optimizer)]


def _to_arrays(variables: Any, prefix: str) -> dict[str, np.ndarray]:
    return {f"{prefix}/{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}


def _assign(variables: Any, saved: Any, prefix: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(saved[f"{prefix}/{i}"])


def _to_number(value: Any) -> Any:
    return None if value is None else float(value) if isinstance(value, float | np.floating) else int(value)
