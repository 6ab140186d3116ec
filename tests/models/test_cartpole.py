"""The recipe cartpole: its memory, the target of double Q-learning, and numbers that teach nothing."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from models import cartpole
from pipeline.errors import UsageError
from pipeline.recipe import Spec

pytest.importorskip("gymnasium")

SPEC = Spec({"observation": ((4,), "float32")}, (), 1)
PARAMS = cartpole.Params(hidden=(8,), learning_rate=0.01)
CHANCE = np.random.default_rng(0)

pytestmark = pytest.mark.heavy


def steps(count, ended=0):
    """Made-up steps."""
    observation, following = (CHANCE.normal(size=(count, 4)).astype(np.float32) for _ in range(2))
    action, reward = CHANCE.integers(2, size=count), np.ones(count, np.float32)
    return dict(zip(cartpole.STEP, (observation, action, reward, following, np.full(count, ended)), strict=True))


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    return cartpole.build(PARAMS, SPEC)


def test_actions_in_numpy_are_those_of_the_network(model):
    rows = CHANCE.normal(size=(50, 4)).astype(np.float32)
    expected = model({"observation": rows}).numpy().argmax(axis=1)
    assert expected.tolist() == cartpole.better_action(model.network.get_weights(), rows).tolist()
    assert expected[0] == cartpole.better_action(model.network.get_weights(), rows[0])


def test_loss_is_that_of_double_q_learning(model):
    model.before.set_weights([part + 0.3 for part in model.network.get_weights()])
    for ended in (0, 1):
        batch = steps(16, ended)
        own, mean = (each(batch["next_observation"]).numpy() for each in (model.network, model.before))
        later = mean[np.arange(16), own.argmax(axis=1)]
        value = model.network(batch["observation"]).numpy()[np.arange(16), batch["action"]]
        error = np.abs(batch["reward"] + PARAMS.discount * (1 - ended) * later - value)
        expected = np.where(error <= 1, error**2 / 2, error - 0.5).mean()
        observation = {"observation": batch.pop("observation")}
        assert expected == pytest.approx(model.train_on_batch(observation, batch, return_dict=True)["loss"], rel=1e-4)


def test_many_steps_are_towards_what_the_network_was_before(model):
    first = model.network.get_weights()
    batches = {name: values.reshape(4, 8, *values.shape[1:]) for name, values in steps(32).items()}
    loss = model.descend_often(batches)
    for old, before, after in zip(first, model.before.get_weights(), model.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, before)
        assert np.any(before != after)
    assert np.isfinite(loss)


def test_memory_keeps_the_newest_and_survives_a_checkpoint():
    memory, batch = cartpole.Memory(10, {}), steps(25)
    for start in range(0, 25, 5):
        memory.add({name: values[start : start + 5] for name, values in batch.items()})
    kept = {tuple(row) for row in memory.arrays["observation"].tolist()}
    assert {tuple(row) for row in batch["observation"][15:].tolist()} == kept
    again = cartpole.Memory(10, {name: np.copy(values) for name, values in memory.arrays.items()})
    first, second = (each.draw(np.random.default_rng(3), 6) for each in (memory, again))
    np.testing.assert_array_equal(first["observation"], second["observation"])
    again.add({name: values[:1] for name, values in batch.items()})
    assert 26 == again.arrays["count"]


@pytest.mark.parametrize(
    "params", [{"steps": 0}, {"every": 0}, {"descents": 0}, {"memory": 0}, {"steps": 1, "every": 2}]
)
def test_numbers_that_teach_nothing_are_named(params):
    with pytest.raises(UsageError, match="Nothing would be learnt"):
        cartpole.build(dataclasses.replace(PARAMS, **params), SPEC)
