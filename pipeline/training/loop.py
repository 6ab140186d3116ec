"""A training that is not one `fit`: what `Recipe.train` gets, and how an epoch reaches checkpoint and live view.

    def train(model, data, p, spec, checkpoint):
        memory = checkpoint.state.get("memory", empty_memory())
        for epoch in checkpoint.epochs():
            for features, target in data.batches(epoch):
                checkpoint.step(loss=float(model.train_on_batch(features, target)))
            checkpoint.state["memory"] = memory
            checkpoint.end_epoch(loss=…, val_loss=…)

Two networks that learn in turns need none of it: a `keras.Model` with a `train_step` of its own is one `fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras
    import numpy as np
    import tensorflow as tf

    from pipeline.training.input_pipeline import Rows

NEEDED = ("loss", "val_loss")


@dataclass(frozen=True)
class TrainingData:
    """The data of a training.

    Attributes:
        rows: The training split, preprocessed, in its order.
        batches: (epoch) -> shuffled and augmented batches of (features, target).
        evaluation: Batches of the eval split.
        steps: Batches per epoch.
        batch_size: Rows per batch.
        seed: Of the run; the same seed gives the same weights.
    """

    rows: Rows
    batches: Callable[[int], tf.data.Dataset]
    evaluation: tf.data.Dataset
    steps: int
    batch_size: int
    seed: int


class TrainingLoop:
    """The epochs that are still to be done; each ends in a checkpoint, from which a killed training goes on.

    Args:
        model: The compiled network; its weights and all its optimizers are saved and restored.
        callbacks: Of a fit: early stopping, alarms, checkpoint, progress.
        first: Epochs that are done already.
        last: Number of epochs in all.
        state: See below.

    Attributes:
        state: Arrays by name that are saved with every epoch and are here again after a restart.
        notes: What `note` was given.
    """

    def __init__(
        self,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        first: int,
        last: int,
        state: dict[str, np.ndarray],
    ) -> None:
        import keras

        self.state = state
        self.notes: list[str] = []
        self._model, self._first, self._last = model, first, last
        self._callbacks = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=last)
        self._epoch = self._batch = -1
        self._ended = True

    def epochs(self) -> Iterator[int]:
        """Yields the numbers of the epochs to do, from 0; ends early where early stopping or an alarm says so.

        Raises:
            PipelineError: An epoch was not ended by `end_epoch`.
        """
        self._model.stop_training = False
        self._callbacks.on_train_begin()
        for epoch in range(self._first, self._last):
            self._epoch, self._batch, self._ended = epoch, -1, False
            self._callbacks.on_epoch_begin(epoch)
            self._callbacks.on_train_batch_begin(0)
            yield epoch
            if not self._ended:
                raise _contract_error(f"epoch {epoch + 1} without it", "call it at the end of every epoch")
            if self._model.stop_training:
                break
        self._callbacks.on_train_end()

    def step(self, **metrics: float) -> None:
        """A step of the optimizer is done: numbers for the live view and the curves."""
        self._batch += 1
        self._callbacks.on_train_batch_end(self._batch, metrics)
        self._callbacks.on_train_batch_begin(self._batch + 1)

    def end_epoch(self, **metrics: float) -> None:
        """The epoch is done.

        Args:
            metrics: `loss`, and `val_loss`, by which the best epoch is chosen: lower is better. Others are free.

        Raises:
            PipelineError: One of the two is missing, or the loss is no number.
        """
        if missing := [name for name in NEEDED if name not in metrics]:
            raise _contract_error(f"no {' and no '.join(missing)}", "give both; lower val_loss is better")
        self._ended = True
        self._callbacks.on_epoch_end(self._epoch, {name: float(value) for name, value in metrics.items()})

    def note(self, words: str) -> None:
        """Adds a sentence to the diagnosis, which run and card show: what this training cost, or what it guarantees.

        Called after the last epoch, it is said, too, by a restart that has no epoch to do.
        """
        self.notes.append(words)


def require_one_device(strategy: Any, nodes: int) -> None:
    """Raises a PipelineError if a training of its own kind would run on several devices or machines."""
    devices = int(strategy.num_replicas_in_sync)
    if devices > 1 or nodes > 1:
        raise PipelineError(
            "A recipe with `train` trains on one device.",
            expected="one device and one machine",
            received=f"{devices} devices, {nodes} machines",
            action="run it with --distribution none",
        )


def _contract_error(received: str, action: str) -> PipelineError:
    return PipelineError(
        "The recipe's `train` breaks its contract.",
        expected="checkpoint.end_epoch(loss=…, val_loss=…, …) at the end of every epoch of checkpoint.epochs()",
        received=received,
        action=action,
    )
