"""The recipe mnist_gan: each alarm on a training that is made to fail, through the real trainer; seeds and digits."""

from __future__ import annotations

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import mnist_gan
from pipeline.settings import ROOT
from pipeline.store import journal
from pipeline.training import trainer
from pipeline.training.callbacks import alarms
from pipeline.training.files import HISTORY
from tests.models.conftest import CONFIG

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.long,
    pytest.mark.parametrize(
        "sampled_recipe", [pytest.param(ROOT / "models" / "mnist_gan.py", id="mnist_gan")], indirect=True
    ),
]
# Many epochs, each of which ends the training if it has the alarm: gradients are not measured in every one.
SMALL = {"batch_size": 8, "epochs": 40, "patience": 99, "filters": (8, 8), "latent": 8}


def stop_generator(model):
    """The critic alone learns, and little holds it back."""
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    model.penalty = 0.1
    model.critic_optimizer = keras.optimizers.Adam(1e-3)
    model.critic_optimizer.build(model.critic.trainable_variables)


def forget_latents(model):
    """The generator looks at nothing that it is given, and learns nothing."""
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    kernel = model.average.layers[1].kernel
    kernel.assign(tf.zeros_like(kernel))
    model.decay = 1.0


def clear_weights(model):
    """Both sides are zero, so that no gradient gets through."""
    for variable in (*model.generator.trainable_variables, *model.critic.trainable_variables):
        variable.assign(tf.zeros_like(variable))


class LateRate(keras.optimizers.schedules.LearningRateSchedule):
    """A small learning rate, and after so many steps another one."""

    def __init__(self, steps, late):
        super().__init__()
        self.steps, self.late = steps, late

    def __call__(self, step):
        return tf.where(tf.cast(step, tf.int32) < self.steps, 1e-4, self.late)

    def get_config(self):
        return {"steps": self.steps, "late": self.late}


def change_rate(late):
    def change(model):
        model.penalty = 0.0
        model.compile(keras.optimizers.Adam(1e-4), jit_compile=False)
        model.critic_optimizer = keras.optimizers.Adam(LateRate(30, late))
        model.critic_optimizer.build(model.critic.trainable_variables)

    return change


def draw_rows(choose):
    """Makes what draws training rows, (count, 28, 28, 1) in [0, 1]."""

    def make(rows):
        images, labels = map(
            np.stack, zip(*((x["image"], y) for x, y in rows.dataset.as_numpy_iterator()), strict=True)
        )
        return lambda _, count: np.resize((choose(images, labels) + 1.0) / 2.0, (count, 28, 28, 1))

    return make


def only_ones(images, labels):
    return images[labels == 1] * np.linspace(0.5, 0.9, (labels == 1).sum())[:, None, None, None]


def moved(images, _):
    """Rows that are new, so that no other alarm comes first."""
    return np.roll(images, 4, axis=2)


FAILURES = {
    "one side has won": (stop_generator, draw_rows(moved), "critic stays below 0.1"),
    "mode collapse": (forget_latents, None, "of what two real rows do"),
    "mode collapse of classes": (None, draw_rows(only_ones), "of 10 classes"),
    "memorised rows": (None, draw_rows(lambda images, _: images), "of what a new real row is"),
    "vanishing gradients": (clear_weights, draw_rows(moved), "the loss stays at"),
    "exploding gradients": (change_rate(5.0), draw_rows(moved), "and the loss with it"),
    "divergence": (change_rate(float("nan")), None, "loss nan"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_training_that_fails_is_stopped_with_an_alarm(sampled_recipe, tmp_path, name, monkeypatch):
    spoil, make_sample, words = FAILURES[name]
    if name != "exploding gradients":  # those of a lost side may rise, too: which alarm is first hangs on the machine
        monkeypatch.setattr(alarms, "EXPLODES", math.inf)
    rows, recipe = sampled_recipe.rows("train"), sampled_recipe.recipe
    if make_sample:
        recipe = dataclasses.replace(recipe, sample=make_sample(rows))
    if spoil:
        recipe = dataclasses.replace(recipe, build=lambda p, spec: spoiled(mnist_gan.build(p, spec), spoil))
    events = []
    with journal.relay_events(lambda event, **fields: events.append((event, fields))):
        fit(sampled_recipe, recipe, tmp_path)
    (alarm,) = [fields for event, fields in events if event == "alarm"]
    assert name.removesuffix(" of classes") == alarm["name"]
    assert words in alarm["words"]
    history = json.loads((tmp_path / HISTORY).read_text())
    assert f"Alarm: {alarm['words']}" in history["diagnosis"]
    assert alarm["epoch"] == len(history["history"]["loss"]) + (name == "divergence")


def spoiled(model, spoil):
    spoil(model)
    return model


def fit(sampled_recipe, recipe, folder):
    p = dataclasses.replace(sampled_recipe.p, **SMALL)
    config = {**CONFIG, "checkpoints": str(folder / "checkpoints")}
    vocabulary = trainer.read_vocabularies(sampled_recipe.graph)
    return trainer.fit_recipe(
        recipe, p, sampled_recipe.rows("train"), sampled_recipe.rows("eval"), config, folder, vocabulary
    )
