"""What a recommender remembers: items by id, who has taken what, and that it is kept with the weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.training.interaction_memory import InteractionMemory

IDS = ["007", "7", "a b", "ä"]
TABLES = {"item_id": np.array([name.encode() for name in IDS]), "title": np.array([b"", b"Seven", b"AB", b"A"])}
USERS, ITEMS, EARLIER = np.array([1, 0, 1, 1]), np.array([2, 3, 0, 3]), np.array([1, 0, 2, 0])


@pytest.fixture
def memory():
    memory = InteractionMemory(2, 4, 6, {"item_id": 3, "title": 5}, name="memory")
    memory.build()
    memory.fill(TABLES)
    return memory


def test_items_are_found_by_their_ids(memory):
    found = memory.find_items(tf.constant(["ä", "7", "07", "", "007"])).numpy()
    assert [3, 1, 4, 4, 0] == found.tolist()


def test_texts_come_back(memory):
    texts = memory.read_texts(tf.constant([[0, 3]]))
    assert [[b"007", "ä".encode()]] == texts["item_id"].numpy().tolist()
    assert [[b"", b"A"]] == texts["title"].numpy().tolist()


def test_the_latest_items_come_first(memory):
    last = memory.remember(USERS, ITEMS, EARLIER)
    assert [1, 2] == last.tolist()
    assert [[0, 2, 3, -1], [3, -1, -1, -1]] == memory.look_back(tf.constant([1, 0], tf.int64), 4).numpy().tolist()
    assert [[0, 2]] == memory.look_back(tf.constant([1], tf.int64), 2).numpy().tolist()
    assert [1, 0, 1, 2] == memory.counts.numpy().tolist()


def test_what_a_user_has_and_what_nobody_has_gets_the_lowest_score(memory):
    memory.remember(USERS, ITEMS, EARLIER)
    scores = tf.constant([1.0, 2.0, 3.0, 4.0])
    assert [1.0, -9.0, 3.0, -9.0] == memory.drop_taken(scores, tf.constant(0, tf.int64), -9.0).numpy().tolist()
    assert [-9.0, -9.0, -9.0, -9.0] == memory.drop_taken(scores, tf.constant(1, tf.int64), -9.0).numpy().tolist()


def test_it_is_made_again_from_its_arguments(memory):
    other = InteractionMemory.from_config(memory.get_config())
    other.build()
    assert [weight.shape for weight in memory.weights] == [weight.shape for weight in other.weights]
    other.set_weights(memory.get_weights())
    assert [3] == other.find_items(tf.constant(["ä"])).numpy().tolist()
    assert [] == memory.trainable_weights
    assert keras.saving.get_registered_name(InteractionMemory) == "keraspipe>InteractionMemory"
