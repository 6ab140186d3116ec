"""One fit with checkpoints, early stopping and reports, and a diagnosis of its learning curves in words.

An interrupted fit is resumed from its checkpoint.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.console import format_number
from pipeline.store import journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import keras
    import tensorflow as tf

    from pipeline.training.callbacks.alarms import Alarm, Alarms
    from pipeline.training.callbacks.gradient_norm import GradientNorm
    from pipeline.training.callbacks.progress import Progress, StepCurves
    from pipeline.training.callbacks.samples import SampleWatch
    from pipeline.training.collective import Workers
    from pipeline.training.loop import TrainingLoop


BOUNDED = re.compile(r"accuracy|auc|precision|recall|f1|iou|dice")  # names of metrics that are 1 at most
NO_SIGN = "no sign of under- or overfitting"
ADVICE = re.compile(r"underfitting[^;]*; more epochs may help")
RISE = 0.1
GAP = 0.5
STILL_FALLING = 0.01
SMALL_LOSS = 0.05
RECENT = 3


@dataclass(frozen=True)
class Training:
    """One fit of a network.

    Attributes:
        model: The compiled network.
        train: (first epoch) -> batches of (features, target), shuffled by the number of the epoch.
        evaluation: Batches of the eval split.
        folder: Folder of the checkpoint.
        patience: Epochs without a lower `val_loss` before the training stops.
        steps: Batches per epoch.
        batch_size: Rows per batch.
        strategy: The strategy in whose scope the network was built.
        precision: The network's dtype policy.
        nodes: This process among those that train together; `train` yields its share.
        class_weight: Weight of each class in the loss, by its number; None for equal ones.
        callbacks: Additional callbacks, called after our own.
        sides, samples: What is watched beside gradients and losses (`pipeline.training.callbacks.alarms`).
        loop: (training, checkpoint) -> None: trains in place of Keras' `fit`.
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
    nodes: Workers
    class_weight: dict[int, float] | None = None
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    sides: Mapping[str, float] = field(default_factory=dict)
    samples: SampleWatch | None = None
    loop: Callable[[Training, TrainingLoop], None] | None = None

    def fit(self, epochs: int, begin: int = 0) -> Fitted:
        """Fits; the model keeps the best weights.

        Args:
            epochs: Number of the last epoch.
            begin: Epochs of an earlier fit; this one's numbers continue from there.
        """
        import keras

        from pipeline.training.callbacks.checkpoint import Checkpoint
        from pipeline.training.callbacks.gradient_norm import GradientNorm

        stopping = keras.callbacks.EarlyStopping("val_loss", patience=self.patience, restore_best_weights=True)
        checkpoint = Checkpoint(self.folder, stopping, reads_only=self.nodes.index > 0)
        with self.strategy.scope():
            first = checkpoint.restore(self.model) or begin
            norm = GradientNorm(self.model.optimizer)
        self._announce(epochs, first)
        self.nodes.begin(self.model, first)
        reports = self._reports(norm)
        alarms = self._alarms(stopping, reports[0].norms, checkpoint.history)
        watches = [self.samples] if self.samples else []
        callbacks = [*self.nodes.callbacks(), *watches, stopping, alarms, checkpoint, *reports, *self.callbacks]
        with norm.attach(), self.nodes.average_gradients(self.model.optimizer):
            notes = self._run(epochs if checkpoint.is_finished else first, epochs, callbacks, checkpoint.state)
        return Fitted(checkpoint.history, alarms.alarm, notes)

    def _run(self, first: int, epochs: int, callbacks: Sequence[Any], state: dict[str, Any]) -> tuple[str, ...]:
        from pipeline.training.loop import TrainingLoop, require_one_device

        if self.loop:
            require_one_device(self.strategy, self.nodes.count)
            checkpoint = TrainingLoop(self.model, callbacks, first, epochs, state)
            self.loop(self, checkpoint)
            return tuple(checkpoint.notes)
        self.model.fit(
            **self._data(first),
            initial_epoch=first,
            epochs=epochs,
            callbacks=callbacks,
            class_weight=self.class_weight,
            shuffle=False,  # the data set shuffles itself
            verbose=0,
        )
        return ()

    def _data(self, first: int) -> dict[str, Any]:
        """Returns the data sets as arguments of Keras' `fit`.

        Devices that train together get endless ones: to make an iterator for them, TensorFlow optimizes all functions
        of the data set anew, which takes up to a second, and Keras makes four in each epoch of finite ones.
        """
        import tensorflow as tf

        train = self.train(first)
        if not isinstance(self.strategy, tf.distribute.MirroredStrategy):
            return {"x": train, "validation_data": self.evaluation}
        return {
            "x": train.repeat(),
            "steps_per_epoch": self.steps,
            "validation_data": self.evaluation.repeat(),
            "validation_steps": int(self.evaluation.cardinality()),
        }

    def _reports(self, norm: GradientNorm) -> tuple[StepCurves, Progress]:
        from pipeline.training.callbacks.progress import Progress, StepCurves

        return StepCurves(self.steps, self.batch_size, norm), Progress(self.steps * self.batch_size)

    def _alarms(self, stopping: Any, norms: list[float], history: Mapping[str, list[float]]) -> Alarms:
        from pipeline.training.callbacks.alarms import Alarms

        alone = self.nodes.count == 1  # all nodes end together, and only a loss that is no number is the same on all
        classes = self.samples.classes if self.samples else 0
        return Alarms(stopping, self.sides if alone else {}, norms if alone else [], classes, history)

    def _announce(self, epochs: int, first: int) -> None:
        journal.report(
            "training",
            epochs=epochs,
            steps_per_epoch=self.steps,
            first_epoch=first + 1,
            distribution=f"{self.nodes.count} nodes" if self.nodes.count > 1 else type(self.strategy).__name__,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes:
        history: Values per epoch by name.
        alarm: What ended it before its time; None if nothing did.
        notes: Sentences that a training of its own kind adds to the diagnosis.
    """

    history: dict[str, list[float]]
    alarm: Alarm | None = None
    notes: tuple[str, ...] = ()


def diagnose(history: dict[str, list[float]], *, stopped_early: bool) -> str:
    """Names underfitting and overfitting, with the numbers that show it.

    Args:
        history: Values per epoch, `loss` and `val_loss` among them.
        stopped_early: Whether early stopping ended the training.
    """
    loss, val = history.get("loss", []), history.get("val_loss", [])
    if not loss or not val:
        return "no finished epoch, no diagnosis."
    if not all(map(math.isfinite, [*loss, *val])):
        return "diverged: the loss is not a number; try a smaller learning_rate."
    best = min(range(len(val)), key=val.__getitem__)
    last = {name: values[best] for name, values in history.items() if name.startswith("val_")}
    stopped = stopped_early or _is_perfect(last)  # more epochs cannot better what is at its bound
    words = _underfitting(val, best, stopped_early=stopped) or _overfitting(loss, val, best)
    finding = words or NO_SIGN
    return f"best epoch {best + 1} of {len(val)}, val_loss {format_number(val[best])}; {finding}."


def revise_diagnosis(words: str, metrics: Mapping[str, float | None]) -> str:
    """Returns a diagnosis without the advice of more epochs if the metrics of the test split cannot be better."""
    return ADVICE.sub(NO_SIGN, words) if _is_perfect(metrics) else words


def _is_perfect(metrics: Mapping[str, float | None]) -> bool:
    """Returns whether all metrics that cannot be above 1 are 1, or the loss is 0; undefined ones do not count."""
    bounded = [value for name, value in metrics.items() if BOUNDED.search(name) and value is not None]
    return metrics.get("val_loss") == 0.0 or min(bounded, default=0.0) >= 1.0


def _underfitting(val: list[float], best: int, *, stopped_early: bool) -> str:
    if stopped_early or best < len(val) - 1:
        return ""
    if len(val) == 1:
        return "underfitting is likely after a single epoch; more epochs may help"
    if val[-2] < val[-1] * (1 + STILL_FALLING):
        return ""
    fall = f"{format_number(val[-2])} to {format_number(val[-1])}"
    return f"underfitting: val_loss was still falling ({fall}); more epochs may help"


def _overfitting(loss: list[float], val: list[float], best: int) -> str:
    advice = "more data, dropout, l2 or augmentation may help"
    recent = val[best + 1 :][-RECENT:]
    rise = sum(recent) / len(recent) - val[best] if recent else 0.0
    if rise > max(RISE * val[best], SMALL_LOSS / 2) and loss[-1] < loss[best]:
        return (
            f"overfitting after epoch {best + 1}: val_loss rose to {format_number(val[best] + rise)} while loss fell "
            f"from {format_number(loss[best])} to {format_number(loss[-1])}, and the weights of epoch {best + 1} are "
            f"kept; {advice}"
        )
    if val[best] > SMALL_LOSS and val[best] - loss[best] > GAP * val[best]:
        return f"overfitting: val_loss {format_number(val[best])} against loss {format_number(loss[best])}; {advice}"
    return ""
