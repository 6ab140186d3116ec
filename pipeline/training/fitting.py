"""One fit with checkpoints, early stopping and reports; it goes on where it was interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras
    import tensorflow as tf

    from pipeline.training.collective import Nodes
    from pipeline.training.gradient_norm import GradientNorm


@dataclass(frozen=True)
class Training:
    """What one fit needs.

    Attributes:
        model: The compiled network.
        train: First epoch -> batches of (features, target), shuffled by that number.
        evaluation: The same of the eval split.
        folder: Where the checkpoint lies.
        patience: Epochs without a lower `val_loss` before the training stops.
        steps: Batches per epoch.
        batch_size: Rows per batch.
        strategy: Under which the network was built.
        precision: Its dtype policy.
        nodes: This process among those that train together; `train` gives its share.
        class_weight: Weight of each class in the loss, by its number; None for equal ones.
        callbacks: Further ones, called after our own.
    """

    model: keras.Model
    train: Callable[[int], tf.data.Dataset]
    evaluation: tf.data.Dataset
    folder: Path
    patience: int
    steps: int
    batch_size: int
    strategy: tf.distribute.Strategy
    precision: str
    nodes: Nodes
    class_weight: dict[int, float] | None = None
    callbacks: tuple[keras.callbacks.Callback, ...] = ()

    def fit(self, epochs: int, begin: int = 0) -> dict[str, list[float]]:
        """Fits and returns the history by name; the model keeps the best weights.

        Args:
            epochs: Number of the last epoch.
            begin: Epochs of an earlier fit, by which this one's are numbered on.
        """
        import keras

        from pipeline.training.checkpoint import Checkpoint
        from pipeline.training.gradient_norm import GradientNorm

        stopping = keras.callbacks.EarlyStopping("val_loss", patience=self.patience, restore_best_weights=True)
        checkpoint = Checkpoint(self.folder, stopping, reads_only=self.nodes.index > 0)
        with self.strategy.scope():
            first = checkpoint.restore(self.model) or begin
            norm = GradientNorm(self.model.optimizer)
        self._announce(epochs, first)
        self.nodes.begin(self.model, first)
        with norm.noted(), self.nodes.averaging(self.model.optimizer):
            self.model.fit(
                self.train(first),
                validation_data=self.evaluation,
                initial_epoch=epochs if checkpoint.finished else first,
                epochs=epochs,
                callbacks=[*self.nodes.callbacks(), stopping, checkpoint, *self._reports(norm), *self.callbacks],
                class_weight=self.class_weight,
                shuffle=False,  # the data set shuffles itself
                verbose=0,
            )
        return checkpoint.history

    def _reports(self, norm: GradientNorm) -> list[keras.callbacks.Callback]:
        from pipeline.training.progress import Progress
        from pipeline.training.step_curves import StepCurves

        return [StepCurves(self.steps, self.batch_size, norm), Progress(self.steps * self.batch_size)]

    def _announce(self, epochs: int, first: int) -> None:
        journal.report(
            "training",
            epochs=epochs,
            steps_per_epoch=self.steps,
            first_epoch=first + 1,
            distribution=f"{self.nodes.count} nodes" if self.nodes.count > 1 else type(self.strategy).__name__,
            precision=self.precision,
        )
