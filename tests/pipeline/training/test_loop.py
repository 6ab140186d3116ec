"""A training of its own kind: checkpoints, early stopping and alarms as those of `fit`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.store import journal
from pipeline.training.callbacks.alarms import Alarms
from pipeline.training.callbacks.checkpoint import Checkpoint
from pipeline.training.callbacks.gradient_norm import GradientNorm
from pipeline.training.callbacks.progress import Progress, StepCurves
from pipeline.training.loop import TrainingLoop

pytestmark = pytest.mark.heavy
X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5]]).astype("float32")


def network():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.second = keras.optimizers.Adam(0.01)  # of a network that learns in turns
    model.second.build(model.trainable_variables)
    return model


class Session:
    """One process that trains in a folder."""

    def __init__(self, folder, epochs, patience=9):
        self.model = network()
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        self.checkpoint = Checkpoint(folder, stopping)
        first = self.checkpoint.restore(self.model)
        curves = StepCurves(1, 32, GradientNorm(self.model.optimizer))
        self.alarms = Alarms(stopping, {"critic": 0.1}, curves.norms, history=self.checkpoint.history)
        callbacks = [stopping, self.alarms, self.checkpoint, curves, Progress(32)]
        first = epochs if self.checkpoint.is_finished else first
        self.loop = TrainingLoop(self.model, callbacks, first, epochs, self.checkpoint.state)

    def train(self, until=99, **fixed):
        done = []
        for epoch in self.loop.epochs():
            count = self.loop.state.get("count", np.zeros(1))
            loss = float(self.model.train_on_batch(X, Y))
            self.model.second.apply([variable * 0.1 for variable in self.model.trainable_variables])
            self.loop.step(loss=loss)
            self.loop.state["count"] = count + 1
            self.loop.end_epoch(**{"loss": loss, "val_loss": loss, **fixed})
            done.append(epoch)
            if len(done) == until:
                break  # as a killed process
        return done


def weights(model):
    return np.concatenate([part.ravel() for part in model.get_weights()])


def test_a_killed_training_goes_on_where_it_was(tmp_path):
    whole = Session(tmp_path / "whole", 6)
    assert [0, 1, 2, 3, 4, 5] == whole.train()
    assert [0, 1] == Session(tmp_path / "parts", 6).train(until=2)
    rest = Session(tmp_path / "parts", 6)
    assert [2, 3, 4, 5] == rest.train()
    np.testing.assert_array_equal(weights(whole.model), weights(rest.model))
    assert whole.checkpoint.history == rest.checkpoint.history
    assert rest.loop.state["count"] == 6


def test_early_stopping_keeps_the_best_and_stays_stopped(tmp_path):
    session = Session(tmp_path, 20, patience=2)
    assert [0, 1, 2] == session.train(val_loss=1.0)
    assert [] == Session(tmp_path, 20, patience=2).train()


def test_an_alarm_ends_it(tmp_path):
    session = Session(tmp_path, 20)
    assert [0, 1, 2] == session.train(critic=0.01)
    assert session.alarms.alarm.name == "one side has won"
    assert [] == Session(tmp_path, 20).train()


def test_epochs_are_reported(tmp_path):
    events = []
    with journal.relay_events(lambda event, **fields: events.append((event, fields))):
        Session(tmp_path, 2).train(reward=3.0)
    epochs = [fields for event, fields in events if event == "epoch"]
    assert [1, 2] == [fields["epoch"] for fields in epochs]
    assert epochs[0]["metrics"]["reward"] == 3.0
    assert "progress" in {event for event, _ in events}


@pytest.mark.parametrize(("metrics", "words"), [({"loss": 1.0}, "no val_loss"), ({}, "no loss and no val_loss")])
def test_what_an_epoch_lacks_is_named(tmp_path, metrics, words):
    loop = Session(tmp_path, 2).loop
    next(loop.epochs())
    with pytest.raises(PipelineError, match=words):
        loop.end_epoch(**metrics)


def test_notes_are_kept_in_order(tmp_path):
    loop = Session(tmp_path, 2).loop
    loop.note("Epsilon 3.")
    loop.note("10 MB sent.")
    assert ["Epsilon 3.", "10 MB sent."] == loop.notes


def test_an_epoch_without_an_end_is_an_error(tmp_path):
    loop = Session(tmp_path, 2).loop
    with pytest.raises(PipelineError, match="epoch 1 without it"):
        list(loop.epochs())
