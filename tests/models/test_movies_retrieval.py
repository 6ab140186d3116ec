"""The recipe movies_retrieval: what is left out, who is unknown, and the correction of the loss."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import movies_retrieval
from pipeline.datasets.movielens import GENRES, NEXT_FILMS
from pipeline.recipe import Spec

FILMS, USERS = 14, 3
PARAMS = dataclasses.replace(movies_retrieval.Params(), width=8, dropout=0.0)
TABLES = {
    "film_id": np.arange(FILMS) * 10 + 10,
    "title": np.array([f"Film {number} (é)".encode() for number in range(FILMS)]),
    "genres": np.eye(FILMS, len(GENRES), dtype=np.float32),
    "year": np.full(FILMS, 1995),
}
ROWS = {  # user 0 sees films 10, 20, 30; user 1 sees 20 and 30; user 2 sees 30 to 130; nobody sees 140
    "user": np.array([0, 0, 0, 1, 1, *[2] * 11]),
    "film_id": np.array([10, 20, 30, 20, 30, 30, *range(40, 140, 10)]),
    "rated_at": np.arange(16) * 10**7,
}


def spec():
    shapes = {"user": ((), "int64"), "film_id": ((), "int64"), "rated_at": ((), "int64"), "log_count": ((), "float32")}
    shapes["history"] = ((NEXT_FILMS.length,), "int64")
    return Spec(shapes, (), 100, {"users": USERS}, TABLES)


def rows():
    history = np.full((16, NEXT_FILMS.length), -1)
    for row in range(16):
        before = [film for film, user in zip(ROWS["film_id"][:row], ROWS["user"][:row], strict=True)
                  if user == ROWS["user"][row]]  # fmt: skip
        history[row, : len(before)] = before[::-1]
    counts = [np.log((ROWS["film_id"] == film).sum()) for film in ROWS["film_id"]]
    return {**ROWS, "history": history, "log_count": np.array(counts, np.float32)}


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    model = movies_retrieval.build(PARAMS, spec())
    batches = tf.data.Dataset.from_tensor_slices(({name: tf.constant(v) for name, v in rows().items()}, np.zeros(16)))
    movies_retrieval.finish(model, batches.batch(5))
    return model


def ask(model, *users):
    answer = movies_retrieval.outputs(model, {"user": tf.constant(users, tf.int64)})
    return {name: value.numpy() for name, value in answer.items()}


def test_what_a_user_has_seen_and_what_nobody_has_seen_is_left_out(model):
    answer = ask(model, 0, 1)
    assert {40, 50, 60, 70, 80, 90, 100, 110, 120, 130} == set(answer["film_id"][0])
    assert not {20, 30, 140} & set(answer["film_id"][1])
    assert (np.diff(answer["score"]) <= 0).all()
    assert [0, 0] == answer["cold"].tolist()


def test_titles_are_those_of_the_films(model):
    answer = ask(model, 1)
    assert [f"Film {film // 10 - 1} (é)".encode() for film in answer["film_id"][0]] == answer["title"][0].tolist()


def test_an_unknown_user_gets_the_most_rated_films(model):
    answer = ask(model, 1, -1)
    assert [0, 1] == answer["cold"].tolist()
    assert [30, 20, 10] == answer["film_id"][1][:3].tolist()
    np.testing.assert_allclose([3 / 16, 2 / 16, 1 / 16], answer["score"][1][:3], rtol=1e-6)


def test_a_user_of_the_served_model_is_who_was_there_at_the_end(model):
    towers = model.get_layer("towers")
    np.testing.assert_array_equal([2, 1, 0, FILMS], towers.histories.numpy()[0][:4])
    assert [2 * 10**7, 4 * 10**7, 15 * 10**7] == towers.times.numpy().tolist()


def test_loss_takes_off_how_often_a_film_is_there_and_the_same_film_is_not_wrong(model):
    batch = rows()
    towers, logits = model.get_layer("towers"), model(batch, training=False).numpy()
    places, history = (movies_retrieval.find_places(towers.ids, tf.constant(batch[n])) for n in ("film_id", "history"))
    users, films = (
        towers.embed_users(history, tf.constant(batch["rated_at"])).numpy(),
        towers.embed_films(places).numpy(),
    )
    expected = users @ films.T / PARAMS.temperature - batch["log_count"]
    different = batch["film_id"][:, None] != batch["film_id"][None, :]
    kept = different | np.eye(16, dtype=bool)
    np.testing.assert_allclose(expected[kept], logits[kept], rtol=1e-4, atol=1e-4)
    assert (logits[~kept] < -1e8).all()
    losses = np.log(np.exp(np.where(kept, expected, -np.inf)).sum(axis=1)) - np.diag(expected)
    assert pytest.approx(losses.mean(), rel=1e-4) == float(model.losses[0])


def test_vectors_of_what_is_unknown_are_zeros(model):
    towers = model.get_layer("towers")
    assert 0.0 == np.abs(towers.embed_known(tf.constant([-1], tf.int64)).numpy()).sum()
    np.testing.assert_allclose(1.0, np.linalg.norm(towers.embed_known(tf.range(USERS)).numpy(), axis=1), rtol=1e-5)


def test_all_that_is_remembered_is_kept_with_the_weights(model, tmp_path):
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for name, expected in ask(model, 0, 2, -1).items():
        np.testing.assert_array_equal(expected, ask(loaded, 0, 2, -1)[name])
