"""Points of the curves within an epoch, and the norm of the gradient."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.store import journal
from pipeline.training.callbacks import progress
from pipeline.training.callbacks.gradient_norm import GradientNorm
from pipeline.training.callbacks.progress import StepCurves

X, Y = np.array([[1.0], [3.0]], np.float32), np.array([[0.0], [0.0]], np.float32)


def line(weight=2.0, **compiled):
    """One weight w with the loss (w x)^2: its gradient is 2 w mean(x^2) = 20 where w = 2."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.array([[weight]], np.float32)])
    model.compile(**{"optimizer": keras.optimizers.SGD(0.0), "loss": "mse", **compiled})
    return model


def test_the_norm_is_that_of_the_gradient_of_the_step_that_was_asked():
    model = line()
    norm = GradientNorm(model.optimizer)
    with norm.attach():
        norm.request()
        model.fit(X, Y, verbose=0)
        assert norm.read() == pytest.approx(20.0)
        model.fit(X, Y, verbose=0)
        assert math.isnan(norm.read())  # nobody has asked


def test_the_optimizer_is_left_as_it_was():
    model = line(optimizer=keras.optimizers.SGD(0.1))
    plain = line(optimizer=keras.optimizers.SGD(0.1))
    with GradientNorm(model.optimizer).attach():
        model.fit(X, Y, verbose=0)
    plain.fit(X, Y, verbose=0)
    assert "apply" not in vars(model.optimizer)
    np.testing.assert_array_equal(plain.get_weights()[0], model.get_weights()[0])


def test_the_scale_of_half_precision_is_taken_out():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0), initial_scale=1024.0)
    model = line(optimizer=optimizer)
    norm = GradientNorm(model.optimizer)
    with norm.attach():
        norm.request()
        model.fit(X, Y, verbose=0)
    assert norm.read() == pytest.approx(20.0)


def test_several_replicas():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = line()
        norm = GradientNorm(model.optimizer)
    with norm.attach():
        norm.request()
        model.fit(X, Y, verbose=0)
    assert norm.read() == pytest.approx(20.0)


def test_points_are_reported_with_the_step_of_the_whole_training(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "CURVE_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress, "CURVE_TIME_SHARE", 0.0)
    model = line(metrics=["mae"])
    norm = GradientNorm(model.optimizer)
    path = tmp_path / "journal.jsonl"
    with journal.use_journal(path), norm.attach():
        curves = StepCurves(steps=2, batch_size=1, gradient_norm=norm)
        model.fit(X, Y, batch_size=1, epochs=3, initial_epoch=1, shuffle=False, callbacks=[curves], verbose=0)
    points = [event for event, _ in journal.iter_events(path)]
    assert [(2, 3), (2, 4), (3, 5), (3, 6)] == [(point["epoch"], point["step"]) for point in points]
    assert [4.0, 36.0] == [pytest.approx(point["metrics"]["gradient_norm"]) for point in points[:2]]
    names = {"loss", "mae", "learning_rate", "gradient_norm"}
    assert names == set(points[0]["metrics"])  # the first step is compiled, which has no speed
    assert names | {"samples_per_second"} == set(points[1]["metrics"])


def test_a_step_that_is_not_due_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "CURVE_INTERVAL_S", 1e9)
    model = line()
    norm = GradientNorm(model.optimizer)
    with journal.use_journal(tmp_path / "journal.jsonl"), norm.attach():
        model.fit(X, Y, callbacks=[StepCurves(1, 2, norm)], verbose=0)
    assert [] == list(journal.iter_events(tmp_path / "journal.jsonl"))
