"""Each alarm by numbers that make it, and the healthy ones next to them."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import pytest

from pipeline.errors import PipelineError
from pipeline.store import journal
from pipeline.training.callbacks.alarms import Alarms, stop_reason

HEALTHY = {"loss": [2.0, 1.5, 1.2, 1.0, 0.9, 0.8], "critic": [0.7, 0.6, 0.6, 0.5, 0.6, 0.6]}


def watch(epochs, norms=(), sides=None, classes=0, stopping=None):
    """Feeds epochs to the alarms; the alarm, and the events of the journal."""
    own = []
    stopping = stopping or keras.callbacks.EarlyStopping()
    alarms = Alarms(stopping, sides or {}, own, classes)
    rate = SimpleNamespace(learning_rate=keras.Variable(0.5))
    alarms.set_model(SimpleNamespace(stop_training=False, optimizer=rate))
    events = []
    with journal.relay_events(lambda event, **fields: events.append((event, fields))):
        for epoch in range(len(epochs["loss"])):
            own.extend(norms[epoch] if epoch < len(norms) else [])
            alarms.on_epoch_end(epoch, {name: values[epoch] for name, values in epochs.items()})
            if alarms.model.stop_training:
                break
    return alarms.alarm, events


def test_a_healthy_training_has_none():
    samples = {"sample_diversity": [0.1, 0.1, 0.1, 0.6, 0.9, 1.0], "sample_novelty": [1.4, 1.3, 1.2, 1.1, 1.0, 1.0]}
    epochs = {**HEALTHY, **samples, "sample_classes": [1.0, 1.0, 2.0, 8.0, 10.0, 10.0]}
    alarm, events = watch(epochs, [[1.0, 2.0]] * 6, {"critic": 0.05}, classes=10)
    assert alarm is None
    assert events == []


CASES = {
    "one side has won": ({"critic": [0.7, 0.04, 0.03, 0.02, 0.01, 0.01]}, [], 4, "critic stays below 0.05"),
    "mode collapse": ({"sample_diversity": [1.0, 0.9, 0.5, 0.2, 0.1, 0.05]}, [], 6, "of what two real rows do"),
    "mode collapse of classes": ({"sample_classes": [9.0, 9.0, 8.0, 4.0, 3.0, 2.0]}, [], 6, "of 10 classes"),
    "memorised rows": ({"sample_novelty": [1.0, 1.0, 0.2, 0.2, 0.1, 0.1]}, [], 5, "of what a new real row is"),
    "exploding gradients": ({"loss": [2.0, 1.5, 9.0, 9.0, 9.0, 9.0]}, [[1.0], [2.0], [5e4]], 3, "to 50000.0000"),
    "vanishing gradients": ({"loss": [2.0] * 6}, [[1e-9]] * 6, 3, "the loss stays at 2"),
    "divergence": ({"loss": [2.0, 1.5, float("nan")]}, [], 3, "loss nan at learning rate 0.5"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_is_said_and_ends_the_training(name):
    changed, norms, epoch, words = CASES[name]
    stopping = keras.callbacks.EarlyStopping()
    length = min(len(values) for values in {**HEALTHY, **changed}.values())
    epochs = {key: values[:length] for key, values in {**HEALTHY, **changed}.items()}
    alarm, events = watch(epochs, norms, {"critic": 0.05}, 10, stopping)
    assert name.removesuffix(" of classes") == alarm.name
    assert epoch == alarm.epoch
    assert words in alarm.reason
    assert [("alarm", alarm.epoch)] == [(event, fields["epoch"]) for event, fields in events]
    assert alarm.reason in stop_reason([None, alarm])
    assert epoch - 1 == stopping.stopped_epoch


def test_gradients_may_be_nothing_where_the_loss_is_nothing_too():
    assert watch({"loss": [1.0, 0.1, 0.0, 0.0, 0.0, 0.0]}, [[1.0], [0.1], [0.0], [0.0], [0.0], [0.0]])[0] is None


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_gradients_vanish_in_any_unit_of_the_loss(unit):
    """A loss and its gradients are in the same unit; a training that goes well in one does so in all."""
    still = {"loss": [2.0 * unit] * 4}
    assert "another initialization" in watch(still, [[1e-8 * unit]] * 4)[0].advice
    falling = {"loss": [2.0 * unit, 1.5 * unit, 1.2 * unit, unit]}
    assert watch(falling, [[0.1 * unit]] * 4)[0] is None


def test_gradients_below_the_epsilon_of_the_optimizer_ask_for_another_unit():
    alarm, _ = watch({"loss": [2e-9] * 4}, [[1e-9]] * 4)
    assert ("vanishing gradients", 3) == (alarm.name, alarm.epoch)
    assert "in units of the target's spread" in alarm.advice
    assert watch({"loss": [2e9] * 6}, [[1e9]] * 6)[0] is None


def test_large_gradients_alone_are_no_explosion():
    assert watch({"loss": [2.0, 1.5, 1.2]}, [[1e-3], [5.0], [900.0]])[0] is None


def test_a_first_epoch_without_a_loss_is_an_error():
    with pytest.raises(PipelineError, match="diverged in epoch 1"):
        watch({"loss": [float("inf")]})
