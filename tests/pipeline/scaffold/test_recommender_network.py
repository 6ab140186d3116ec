"""The network of a recommender that `new` writes: who is known, what is left out, what is kept with the weights."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.recipe import Spec
from pipeline.recipes import catalog

pytestmark = pytest.mark.heavy
ITEMS, USERS = 30, 40
IDS = [f"{number:03}" for number in range(ITEMS)]


@pytest.fixture
def recipe(drafted, write_csv):
    """A recipe over users who each take 25 of 30 items."""
    rows = [(user, (user + step) % ITEMS) for user in range(USERS) for step in range(25)]
    columns = {
        "user": [f"user {user}" for user, _ in rows],
        "item": [IDS[item] for _, item in rows],
        "rating": [1 + (user * item) % 5 for user, item in rows],
        "title": [f"Item {item}" for _, item in rows],
    }
    made = drafted(write_csv(columns))
    return catalog.load_recipe(made.source.path)


def make_rows(recipe, tmp_path):
    """The rows as Transform gives them; all are of the training split."""
    examples = [example.features for example in recipe.data.examples(tmp_path)]
    names = {user: place for place, user in enumerate(sorted({row["user_id"] for row in examples}))}
    history = np.full((len(examples), recipe.data.length), -1)
    for place, row in enumerate(examples):
        history[place, : len(row["history"])] = row["history"]
    items = np.array([row["item"] for row in examples])
    return names, {
        "user": np.array([names[row["user_id"]] for row in examples]),
        "item": items,
        "history": history,
        "earlier": np.array([row["earlier"] for row in examples]),
        "liked": np.array([row["liked"] for row in examples]),
        "log_count": np.log(np.bincount(items)[items]).astype(np.float32),
    }


@pytest.fixture
def trained(recipe, tmp_path):
    keras.utils.set_random_seed(1)
    names, rows = make_rows(recipe, tmp_path)
    shapes = {name: (value.shape[1:], value.dtype.name) for name, value in rows.items()}
    spec = Spec(shapes, (), 100, {"users": len(names)}, tables=recipe.data.tables(tmp_path))
    model = recipe.build(dataclasses.replace(recipe.params, width=8), spec)
    batches = tf.data.Dataset.from_tensor_slices((rows, np.zeros(len(rows["user"])))).batch(64)
    recipe.finish(model, batches)
    return recipe, model, names, batches


def ask(recipe, model, *users):
    answer = recipe.outputs(model, {"user": tf.constant(users, tf.int64)})
    return {name: value.numpy() for name, value in answer.items()}


def test_what_a_user_has_is_left_out_and_where_nothing_is_left_there_is_no_id(trained):
    recipe, model, names, _ = trained
    answer = ask(recipe, model, names[b"user 0"])
    assert {name.encode() for name in IDS[25:]} == set(answer["item_id"][0][:5])
    assert [b""] * 5 == answer["item_id"][0][5:].tolist()
    assert [f"Item {int(name)}".encode() for name in answer["item_id"][0][:5]] == answer["title"][0][:5].tolist()
    assert (np.diff(answer["score"]) <= 0).all()
    assert [0] == answer["cold"].tolist()


def test_an_unknown_user_gets_the_most_frequent_items(trained):
    recipe, model, _, _ = trained
    answer = ask(recipe, model, -1)
    assert [1] == answer["cold"].tolist()
    counts = model.get_layer("towers").memory.counts.numpy()
    assert pytest.approx(np.sort(counts)[::-1][:10] / counts.sum()) == answer["score"][0]


def test_the_loss_falls_and_rows_that_are_not_liked_have_none(trained):
    _, model, _, batches = trained
    history = model.fit(batches, epochs=3, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < history[0]
    (rows, _) = next(iter(batches))
    model({**rows, "liked": tf.zeros_like(rows["liked"])})
    assert 0.0 == float(model.losses[0])


def test_all_that_is_remembered_is_kept_with_the_weights(trained, tmp_path):
    recipe, model, names, _ = trained
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for name, expected in ask(recipe, model, *names.values(), -1).items():
        np.testing.assert_array_equal(expected, ask(recipe, loaded, *names.values(), -1)[name])


def test_vectors_of_what_is_unknown_are_zeros(trained):
    recipe, model, _, _ = trained
    served = type("Served", (), {"model": model, "features": lambda inputs: {"user": tf.constant([0, -1], tf.int64)}})
    endpoints = recipe.signatures(served)
    users = endpoints["embed_user"][0](tf.constant(["a", "b"]))["embedding"].numpy()
    answer = endpoints["embed_item"][0](tf.constant(["007", "7"]))
    items, bias = (answer[name].numpy() for name in ("embedding", "bias"))
    np.testing.assert_allclose([1, 0], np.linalg.norm(users, axis=1), atol=1e-5)
    assert [True, False] == (np.linalg.norm(items, axis=1) > 0).tolist()
    assert bias[0] > 0 == bias[1]


def test_a_score_is_the_product_of_the_vectors_and_the_bias(trained):
    recipe, model, names, _ = trained
    towers, answer = model.get_layer("towers"), ask(recipe, model, names[b"user 3"])
    items = [IDS.index(name.decode()) for name in answer["item_id"][0][:5]]
    user = towers.embed_known(tf.constant([names[b"user 3"]], tf.int64)).numpy()[0]
    vectors, bias = towers.embed_items(tf.constant(items)).numpy(), towers.weigh_items(tf.constant(items)).numpy()
    np.testing.assert_allclose(vectors @ user / towers.temperature + bias, answer["score"][0][:5], rtol=1e-4)
