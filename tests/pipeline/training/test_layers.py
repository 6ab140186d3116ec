"""Augmentation of texts."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.training.layers import WordDropout

IDS = np.repeat([[7, 8, 9, 0, 0]], 2000, axis=0)


def test_some_words_become_unknown_and_padding_stays():
    seen = np.asarray(WordDropout(0.25, seed=0)(IDS, training=True))
    assert {1} == set(np.unique(seen[seen != IDS]))
    assert np.all(seen[:, 3:] == 0)
    np.testing.assert_allclose([0.25] * 3, np.mean(seen[:, :3] == 1, axis=0), atol=0.05)
    assert IDS.dtype == seen.dtype


@pytest.mark.parametrize(("rate", "expected"), [(0.0, [7, 8, 9, 0, 0]), (1.0, [1, 1, 1, 0, 0])])
def test_none_and_all(rate, expected):
    assert expected == np.unique(WordDropout(rate)(IDS, training=True), axis=0)[0].tolist()


def test_nothing_happens_outside_training():
    np.testing.assert_array_equal(IDS, WordDropout(1.0)(IDS))


def test_other_ids_for_unknown_and_padding():
    seen = WordDropout(1.0, unknown=0, padding=9)(np.array([[7, 8, 9]]), training=True)
    assert [[0, 0, 9]] == np.asarray(seen).tolist()


def test_every_batch_of_a_data_set_is_drawn_anew():
    layer = WordDropout(0.5, seed=1)
    batches = tf.data.Dataset.from_tensors(IDS).repeat(2).map(lambda ids: layer(ids, training=True))
    first, second = batches.as_numpy_iterator()
    assert not np.array_equal(first, second)


def test_configuration_makes_the_same_layer():
    config = keras.saving.serialize_keras_object(WordDropout(0.2, unknown=3, padding=4, seed=5))
    again = keras.saving.deserialize_keras_object(config)
    assert (0.2, 3, 4, 5) == (again.rate, again.unknown, again.padding, again.seed)


def test_rate_beyond_one():
    with pytest.raises(ValueError, match=r"Received: rate=1\.5"):
        WordDropout(1.5)
