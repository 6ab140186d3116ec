"""The network of the recipe translate: packed rows, cached steps, rows that stand alone."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import translate
from pipeline.features.pieces import END, FIRST, PADDING
from pipeline.generation.decode import beam_search, greedy
from pipeline.recipe import Spec

P = translate.Params(length=12, width=32, heads=2, hidden=32, blocks=2)
WORDS = [f"\u2581w{number}".encode() for number in range(40)]
DECODERS = {"greedy": greedy, "beam": functools.partial(beam_search, beams=4, penalty=1.0)}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return translate.build(P, Spec({}, (), 100, {"english": 30, "german": 40}, {"german": tuple(WORDS)}))


def sentences(rows, pieces, seed=0):
    """Random ids of random lengths, each with its end."""
    random = np.random.default_rng(seed)
    ids = random.integers(FIRST, FIRST + pieces, (rows, P.length))
    place, last = np.arange(P.length), random.integers(1, P.length, (rows, 1))
    return np.where(place < last, ids, np.where(place == last, END, PADDING)).astype(np.int64)


def test_cost_does_not_depend_on_the_padding_of_other_rows(model):
    source, words = sentences(9, 30), sentences(9, 40, seed=1)
    whole = model({"source": source, "words": words}, training=False).numpy()
    for row in range(9):
        alone = model({"source": source[row : row + 1], "words": words[row : row + 1]}, training=False).numpy()
        np.testing.assert_allclose(whole[row], alone[0], atol=1e-5)
    assert (whole[words == PADDING] == 0).all()
    assert (whole[words != PADDING] != 0).all()


def test_steps_with_kept_keys_and_values_are_the_network(model):
    source, words = sentences(5, 30), sentences(5, 40, seed=1)
    network = model.get_layer("translator")
    state, before, costs = network.begin(tf.constant(source)), tf.fill([5], END), []
    for place in range(P.length):
        logits, state = network.step(before, tf.constant(place), state)
        chances, truth = tf.nn.log_softmax(logits), words[:, place]
        missed = -tf.gather(chances, truth, batch_dims=1)
        spread = tf.gather(logits, truth, batch_dims=1) - tf.reduce_mean(logits, axis=-1)
        costs.append(missed + P.smoothing * spread)
        before = tf.cast(truth, tf.int32)
    expected = np.where(words == PADDING, 0, np.stack(costs, axis=1))
    np.testing.assert_allclose(expected, model({"source": source, "words": words}, training=False), atol=1e-4)


def test_smoothing_is_that_of_keras(model):
    network = model.get_layer("translator")
    x, truth = np.random.default_rng(0).normal(size=(7, P.width)).astype(np.float32), np.arange(7)

    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=P.smoothing, reduction=None)(
        tf.one_hot(truth, FIRST + 40), network.logits(x)
    )
    np.testing.assert_allclose(expected, network.cost(tf.constant(x), tf.constant(truth)), rtol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_a_row_gets_the_same_alone_and_in_any_batch_to_the_last_bit(model, name):
    ask = tf.function(lambda ids: translate.translate(model, ids, DECODERS[name]))
    source = tf.constant(sentences(19, 30))
    whole, reverse = ask(source), ask(source[::-1])
    for key, values in whole.items():
        assert values.numpy().tolist() == reverse[key].numpy()[::-1].tolist(), key
    for row in (0, 7, 18):
        for count in (1, 3):
            some = ask(source[row : row + count])
            assert all(some[key].numpy()[0] == whole[key].numpy()[row] for key in whole)


def test_an_empty_sentence_has_an_empty_translation(model):
    source = sentences(2, 30)
    source[1] = [END] + [PADDING] * (P.length - 1)
    answer = translate.translate(model, tf.constant(source), greedy)
    assert b"" == answer["text"].numpy()[1]
    assert 0 == answer["score"].numpy()[1]
    assert answer["score"].numpy()[0] < 0


def test_network_survives_a_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    rows = {"source": sentences(3, 30), "words": sentences(3, 40)}
    np.testing.assert_array_equal(model(rows, training=False), loaded(rows, training=False))


def test_mean_cost_is_per_word():
    words = tf.constant([[5, END, PADDING], [END, PADDING, PADDING]])
    assert 2.0 == translate.mean_cost(words, tf.constant([[3.0, 2.0, 0.0], [1.0, 0.0, 0.0]])).numpy()
