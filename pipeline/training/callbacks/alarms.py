"""Alarms of a training: said while it happens; the training ends, and the best weights so far are kept.

Every network is watched for gradients that explode or vanish, and for a loss that is no number. One that generates is
watched, too, for a side that has won, for samples that are all alike, and for samples that are training rows.

Sources: I. Goodfellow, NIPS 2016 tutorial: Generative adversarial networks, arXiv:1701.00160, section 5.1; R. Pascanu
et al., On the difficulty of training recurrent neural networks, ICML 2013, section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import keras

from pipeline.console import format_number
from pipeline.errors import PipelineError
from pipeline.store import journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATIENCE = 3  # epochs in a row that must look wrong
START = 3  # epochs in which samples may look like noise
EXPLODES, RISES = 1000.0, 2.0  # times the first epoch's gradient, and the lowest loss
VANISHES = 1e-7  # norm of the gradient for a loss of 1: both are in the unit of the loss
MOVES = 1e-7  # norm below which Adam takes no steps in any unit: its epsilon
STUCK = 0.01  # by what share the loss must have fallen
FEW_CLASSES = 0.5  # share of the classes
ALIKE = 0.25  # times the distance between two real rows
COPIED = 0.3  # times the distance of a new real row to its nearest training row
DIVERSITY, CLASSES, COPIES = "sample_diversity", "sample_classes", "sample_novelty"


@dataclass(frozen=True)
class Alarm:
    """What went wrong.

    Attributes:
        name: For instance "mode collapse".
        epoch: 1 for the first.
        reason: The numbers that show it.
        advice: What to try.
    """

    name: str
    epoch: int
    reason: str
    advice: str

    def describe(self) -> str:
        """Returns it as a sentence."""
        return f"{self.name} in epoch {self.epoch}: {self.reason}; {self.advice}."


class Alarms(keras.callbacks.Callback):
    """Watches the numbers of every epoch, and ends the training at the first alarm.

    Args:
        early_stopping: Is marked as ended at an alarm, so that a restart does not go on.
        sides: Losses that rise and fall against each other, and the value below which one has won.
        norms: Norms of gradients that were measured in the running epoch; emptied here.
        classes: Number of classes that samples may have; 0 where there are none.
        history: Values per epoch of an earlier part of this training, by name.

    Attributes:
        alarm: The alarm; None if there was none.
    """

    def __init__(
        self,
        early_stopping: keras.callbacks.EarlyStopping,
        sides: Mapping[str, float],
        norms: list[float],
        classes: int = 0,
        history: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self._early_stopping = early_stopping
        self.sides, self.norms, self.classes = sides, norms, classes
        self.history: dict[str, list[float]] = {name: list(values) for name, values in (history or {}).items()}
        self.alarm: Alarm | None = None
        self._typical = 0.0  # norm of the gradient in the first epoch
        self._vanished = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Says what went wrong, if anything did.

        Raises:
            PipelineError: The loss is no number, and no earlier epoch has weights to keep.
        """
        values = {name: float(value) for name, value in (logs or {}).items()}
        alarm = self._check_loss(epoch, values)
        if alarm is None:
            for name, value in values.items():
                self.history.setdefault(name, []).append(value)
            alarm = next(self._alarms(epoch + 1), None)
        self.norms.clear()
        if alarm:
            self.alarm, self.model.stop_training = alarm, True
            self._early_stopping.stopped_epoch = epoch
            journal.report("alarm", epoch=alarm.epoch, name=alarm.name, words=alarm.describe())

    def _check_loss(self, epoch: int, values: Mapping[str, float]) -> Alarm | None:
        loss = values.get("loss", 0.0)
        if math.isfinite(loss):
            return None
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if not self.history:
            raise PipelineError(
                f"The training diverged in epoch {epoch + 1}.",
                expected="a finite loss",
                received=f"loss {loss} at learning rate {rate:g}",
                action="lower it with --set learning_rate=…, or clip gradients in the recipe's optimizer",
            )
        advice = "the weights of an earlier epoch are kept; lower the learning rate, or clip gradients"
        return Alarm("divergence", epoch + 1, f"loss {loss} at learning rate {rate:g}", advice)

    def _alarms(self, epoch: int) -> Iterator[Alarm]:
        yield from self._gradients(epoch)
        for name, bound in self.sides.items():
            if self._all_below(name, bound):
                words = f"{name} stays below {format_number(bound)} ({self._recent_words(name)})"
                advice = (
                    "the other side learns nothing from it: a lower learning rate for it, or a penalty on its slope"
                )
                yield Alarm("one side has won", epoch, words, advice)
        if epoch > START:
            yield from self._samples(epoch)

    def _gradients(self, epoch: int) -> Iterator[Alarm]:
        norms, losses = [norm for norm in self.norms if math.isfinite(norm)], self.history.get("loss", [])
        if not norms or not losses:
            return
        middle = median(norms)
        self._typical = self._typical or middle
        if middle > EXPLODES * self._typical > 0 and losses[-1] > RISES * abs(min(losses)):
            reason = (
                f"their norm rose from {format_number(self._typical)} to {format_number(middle)}, and the loss with it"
            )
            yield Alarm("exploding gradients", epoch, reason, "lower the learning rate, or clip gradients")
        still = abs(losses[-1] - losses[0]) <= STUCK * abs(losses[0])
        advice = _advise_on_small(max(norms), abs(losses[-1])) if still else ""
        self._vanished = self._vanished + 1 if advice else 0
        if self._vanished >= PATIENCE and losses[-1] != 0:
            reason = f"their norm is {format_number(middle)}, and the loss stays at {format_number(losses[-1])}"
            yield Alarm("vanishing gradients", epoch, reason, advice)

    def _samples(self, epoch: int) -> Iterator[Alarm]:
        advice = "a lower learning rate, a penalty on the critic's slope, or larger batches"
        if self._all_below(DIVERSITY, ALIKE):
            reason = f"two samples differ by {self._recent_words(DIVERSITY)} of what two real rows do"
            yield Alarm("mode collapse", epoch, reason, advice)
        if self.classes > 1 and self._all_below(CLASSES, FEW_CLASSES * self.classes):
            reason = f"samples have {self._recent_words(CLASSES)} of {self.classes} classes"
            yield Alarm("mode collapse", epoch, reason, advice)
        if self._all_below(COPIES, COPIED):
            reason = f"a sample is as far from a training row as {self._recent_words(COPIES)} of what a new real row is"
            yield Alarm("memorised rows", epoch, reason, "more data, augmentation, or a smaller network")

    def _recent(self, name: str) -> list[float]:
        return self.history.get(name, [])[-PATIENCE:]

    def _all_below(self, name: str, bound: float) -> bool:
        recent = self._recent(name)
        return len(recent) == PATIENCE and all(value < bound for value in recent)

    def _recent_words(self, name: str) -> str:
        return ", ".join(map(format_number, self._recent(name)))


def _advise_on_small(norm: float, loss: float) -> str:
    """Returns what to try against gradients that are too small; empty if they are not."""
    if norm < VANISHES * loss:
        return "another initialization or activation, normalization, or scaled features"
    if norm < MOVES:
        return "a target, or its loss, in units of the target's spread: these steps are below the optimizer's epsilon"
    return ""


def stop_reason(alarms: Sequence[Any]) -> str:
    """Returns the alarms of all fits as one text, for the diagnosis; empty without any."""
    return " ".join(f"Alarm: {alarm.describe()}" for alarm in alarms if alarm)
