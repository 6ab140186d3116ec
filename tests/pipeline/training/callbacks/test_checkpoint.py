"""A training that goes on from its checkpoint is where the uninterrupted one is."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from pipeline.store import fileio
from pipeline.training.callbacks.checkpoint import CHECKPOINT_FILE, Checkpoint

pytestmark = pytest.mark.heavy

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 3)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5]]).astype("float32")
# From the second epoch on, validation gets worse the better the training is.
VALIDATION = (X, -Y)


def network(seed=1):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 80)), "mse")
    return model


class Training:
    """A network with its early stopping and its checkpoint in a folder."""

    def __init__(self, folder, patience=3, seed=1):
        self.model = network(seed)
        self.stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        self.checkpoint = Checkpoint(folder, self.stopping)
        self.first = self.checkpoint.restore(self.model)

    def fit(self, epochs, validation=VALIDATION, *more):
        self.model.fit(
            X,
            Y,
            batch_size=8,
            shuffle=False,
            validation_data=validation,
            initial_epoch=epochs if self.checkpoint.is_finished else self.first,
            epochs=epochs,
            callbacks=[self.stopping, self.checkpoint, *more],
            verbose=0,
        )
        return self

    @property
    def state(self):
        variables = [*self.model.variables, *self.model.optimizer.variables]
        arrays = [keras.ops.convert_to_numpy(variable) for variable in variables]
        return [*arrays, *map(np.asarray, self.stopping.best_weights or [])]

    @property
    def numbers(self):
        stopping = self.stopping
        return stopping.wait, stopping.best, stopping.best_epoch, stopping.stopped_epoch, self.checkpoint.history


def assert_same(one, other):
    assert one.numbers == other.numbers
    assert len(one.state) == len(other.state)
    for a, b in zip(one.state, other.state, strict=True):
        np.testing.assert_array_equal(a, b)


class StopAfter(keras.callbacks.Callback):
    """Interrupts the training as a signal would, once an epoch is saved."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise KeyboardInterrupt


def interrupted(folder, after, epochs, validation=VALIDATION, patience=3):
    with pytest.raises(KeyboardInterrupt):
        Training(folder, patience).fit(epochs, validation, StopAfter(after))
    return Training(folder, patience, seed=99)


@pytest.mark.parametrize("after", [1, 3])
def test_going_on_equals_never_having_stopped(tmp_path, after):
    whole = Training(tmp_path / "whole").fit(5, (X, Y))
    resumed = interrupted(tmp_path / "parts", after, 5, (X, Y))
    assert after == resumed.first
    assert_same(whole, resumed.fit(5, (X, Y)))
    assert 5 == len(resumed.checkpoint.history["val_loss"])


@pytest.mark.parametrize("after", [1, 2, 3])
def test_early_stopping_goes_on_counting_and_keeps_its_best_weights(tmp_path, after):
    whole = Training(tmp_path / "whole").fit(20)
    resumed = interrupted(tmp_path / "parts", after, 20).fit(20)
    assert 4 == len(whole.checkpoint.history["val_loss"])
    assert_same(whole, resumed)


def test_training_that_stopped_early_is_over(tmp_path):
    whole = Training(tmp_path).fit(20)
    again = Training(tmp_path, seed=99)
    assert again.checkpoint.is_finished
    again.fit(20)
    for a, b in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.checkpoint.history == again.checkpoint.history


def test_patience_of_zero_goes_on_while_it_improves(tmp_path):
    whole = Training(tmp_path / "whole", patience=0).fit(5, (X, Y))
    resumed = interrupted(tmp_path / "parts", 1, 5, (X, Y), patience=0)
    assert not resumed.checkpoint.is_finished
    assert_same(whole, resumed.fit(5, (X, Y)))
    assert 1 < len(whole.checkpoint.history["loss"])


def test_diverged_epoch_is_not_saved(tmp_path):
    Training(tmp_path).fit(2, (X, Y))
    diverging = Training(tmp_path)
    diverging.model.layers[-1].bias.assign([float("nan")])
    diverging.fit(3, (X, Y))
    assert 2 == Training(tmp_path).first


def test_without_a_checkpoint_training_starts_at_the_beginning(tmp_path):
    one = Training(tmp_path)
    assert 0 == one.first
    assert not one.checkpoint.is_finished


def test_interruption_before_the_rename_leaves_the_epoch_before(tmp_path, monkeypatch):
    Training(tmp_path).fit(2, (X, Y))
    before = (tmp_path / CHECKPOINT_FILE).read_bytes()

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(fileio, "sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Training(tmp_path).fit(3, (X, Y))
    assert before == (tmp_path / CHECKPOINT_FILE).read_bytes()
    assert [CHECKPOINT_FILE] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.process
def test_process_killed_between_write_and_rename_leaves_the_old_checkpoint(tmp_path):
    Training(tmp_path).fit(1, (X, Y))
    code = (
        "import os, pathlib, sys; from pipeline.store import fileio; import numpy as np\n"
        "with fileio.replace_file(pathlib.Path(sys.argv[1])) as beside, beside.open('wb') as file:\n"
        "    np.savez(file, state=np.zeros(9)); file.flush(); os.kill(os.getpid(), 9)"
    )
    assert -9 == subprocess.run([sys.executable, "-c", code, tmp_path / CHECKPOINT_FILE], check=False).returncode
    assert 1 == Training(tmp_path).first
