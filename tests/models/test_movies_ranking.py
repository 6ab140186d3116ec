"""The recipe movies_ranking: who and what is unknown, and the reference."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import movies_ranking
from pipeline.recipe import Spec

TABLES = {"film_id": np.array([10, 20]), "genres": np.eye(2, 19, dtype=np.float32), "year": np.array([1995, 0])}
UNKNOWN = 3  # users and films of the training split are 0 to 2


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    model = movies_ranking.build(movies_ranking.Params(), Spec({}, (), 10, {"user": 3, "film": 3}, TABLES))
    for layer in model.layers:
        layer.set_weights([value + 0.1 if value.dtype == np.float32 else value for value in layer.get_weights()])
    return model


def ask(model, user, film, film_id):
    rows = {"user": user, "film": film, "film_id": film_id}
    return movies_ranking.outputs(model, {name: tf.constant([value], tf.int64) for name, value in rows.items()})


def test_what_is_unknown_has_a_vector_of_zeros_and_no_bias(model):
    before = ask(model, UNKNOWN, UNKNOWN, 99)["rating"].numpy()
    tables = [layer for layer in model.layers if isinstance(layer, keras.layers.Embedding)]
    assert 4 == len(tables)
    for layer in tables:
        values = layer.embeddings.numpy()
        values[UNKNOWN] = 7.0
        layer.set_weights([values])
    np.testing.assert_array_equal(before, ask(model, UNKNOWN, UNKNOWN, 99)["rating"])


def test_a_film_nobody_rated_still_has_its_genres(model):
    facts = next(layer for layer in model.layers if isinstance(layer, movies_ranking.Facts))
    facts.fill(TABLES)
    found = facts(tf.constant([20, 10, 99], tf.int64)).numpy()
    assert [1.0, 1.0, 0.0] == found[:, :19].sum(axis=1).tolist()
    films = {"user": np.array([0, 0]), "film": np.array([UNKNOWN] * 2), "film_id": np.array([20, 99])}
    first, second = model(films, training=False).numpy()[:, 0]
    assert abs(first - second) > 1e-3


def test_stars_lie_between_a_half_and_five(model):
    for weight in model.trainable_variables:
        weight.assign(tf.fill(weight.shape, 9.0))
    assert 5.0 == float(ask(model, 0, 0, 10)["rating"][0])


def test_reference_knows_users_and_films_and_shrinks_them():
    users, films = (grid.ravel() for grid in np.meshgrid(np.arange(30), np.arange(40)))
    stars = 3.0 + 0.5 * np.sign(users - 14.5) + 0.5 * np.sign(films - 19.5)
    train = {"user_id": users, "film_id": films, "rating": stars}
    test = {"user_id": np.array([0, 29, 99]), "film_id": np.array([0, 39, 99])}
    found = movies_ranking.bias_model(train, test)
    np.testing.assert_allclose([2.0, 4.0, 3.0], found, atol=0.15)
    assert 2.0 < found[0] < found[2] < found[1] < 4.0
