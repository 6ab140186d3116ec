"""Vectors of numbers: their shape, that each number has its own, and that a layer is restored as it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.training.numbers import Periodic

NUMBERS = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


def test_each_number_becomes_a_vector_of_its_own():
    layer = Periodic(frequencies=4, size=6)
    before = np.asarray(layer(NUMBERS))
    changed = NUMBERS.copy()
    changed[:, 1] += 1
    after = np.asarray(layer(changed))
    assert (5, 18) == before.shape
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    np.testing.assert_array_equal(before[:, 12:], after[:, 12:])
    assert not np.array_equal(before[:, 6:12], after[:, 6:12])


def test_the_values_are_those_of_the_paper():
    layer = Periodic(frequencies=2, size=1, spread=0.5)
    layer(NUMBERS)
    waves, kernel, bias = (np.asarray(weight) for weight in layer.weights)
    turns = 2 * np.pi * NUMBERS[:, :, None] * waves
    parts = np.concatenate([np.sin(turns), np.cos(turns), NUMBERS[:, :, None]], axis=2)
    expected = np.maximum(np.einsum("bnk,nkd->bnd", parts, kernel) + bias, 0)[:, :, 0]
    np.testing.assert_allclose(expected, np.asarray(layer(NUMBERS)), rtol=1e-5, atol=1e-6)


def test_a_saved_network_gives_the_same_answers(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Periodic(frequencies=3, size=2, spread=0.1)(inputs))
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.predict(NUMBERS, verbose=0), restored.predict(NUMBERS, verbose=0))


@pytest.mark.parametrize("arguments", [{"frequencies": 0}, {"size": 0}, {"spread": 0.0}])
def test_arguments_without_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="must be at least 1, spread above 0"):
        Periodic(**arguments)
