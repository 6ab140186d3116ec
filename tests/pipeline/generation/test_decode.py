"""Decoders against a search through all sequences, by a network that is a table of probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.generation import cache, decode

VOCABULARY, LENGTH, END, START = 4, 4, 0, 3


def make_step(table):
    """A network whose next token depends on the last one, the position, and the row's own number, its state."""
    logits = tf.constant(table, tf.float32)  # (kinds of rows, length, vocabulary, vocabulary)

    def step(tokens, position, state):
        rows = tf.gather(logits, state["kind"])  # (rows, length, vocabulary, vocabulary)
        return tf.gather(rows[:, position], tokens, batch_dims=1), {"kind": state["kind"], "seen": state["seen"] + 1}

    return step


def make_state(kinds):
    kinds = tf.constant(kinds)
    return {"kind": tf.ensure_shape(kinds, [None]), "seen": tf.ensure_shape(tf.zeros_like(kinds), [None])}


def log_probability(table, kind, tokens):
    """Of a sequence: up to its first end token."""
    total, last = 0.0, START
    for position, token in enumerate(tokens):
        logits = table[kind, position, last]
        total += logits[token] - np.log(np.exp(logits).sum())
        if token == END:
            break
        last = token
    return total


def sequences():
    """All answers: after an end token there are only end tokens."""
    for tokens in itertools.product(range(VOCABULARY), repeat=LENGTH):
        ended = tokens.index(END) if END in tokens else LENGTH
        if all(token == END for token in tokens[ended:]):
            yield tokens


def random_table(seed, kinds=3, sharpness=2.0):
    return np.random.default_rng(seed).normal(0, sharpness, (kinds, LENGTH, VOCABULARY, VOCABULARY)).astype(np.float32)


def starts(kinds):
    return tf.fill([len(kinds)], START)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_beam_as_wide_as_all_sequences_gives_the_best_of_them(seed):
    table = random_table(seed)
    kinds = [0, 1, 2]
    tokens, score = decode.beam_search(
        make_step(table), starts(kinds), make_state(kinds), beams=64, length=LENGTH, end=END
    )
    for row, kind in enumerate(kinds):
        lengths = {each: each.index(END) + 1 if END in each else LENGTH + 1 for each in sequences()}
        best = max(sequences(), key=lambda each: log_probability(table, kind, each) / lengths[each])
        assert best == tuple(tokens[row].numpy())
        np.testing.assert_allclose(log_probability(table, kind, best), score[row], rtol=1e-4, atol=1e-5)  # of float32


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_one_beam_is_greedy(seed):
    step, kinds = make_step(random_table(seed)), [2, 0, 1, 1]
    expected = decode.greedy(step, starts(kinds), make_state(kinds), length=LENGTH, end=END)
    beam = decode.beam_search(step, starts(kinds), make_state(kinds), beams=1, length=LENGTH, end=END)
    np.testing.assert_array_equal(expected[0], beam[0])
    np.testing.assert_allclose(expected[1], beam[1], rtol=1e-5)


def test_greedy_takes_the_likeliest_and_ends():
    table = random_table(1)
    tokens, score = decode.greedy(make_step(table), starts([0, 1]), make_state([0, 1]), length=LENGTH, end=END)
    for row, kind in enumerate([0, 1]):
        last, expected = START, []
        for position in range(LENGTH):
            last = END if END in expected else int(table[kind, position, last].argmax())
            expected.append(last)
        assert expected == tokens[row].numpy().tolist()
        np.testing.assert_allclose(log_probability(table, kind, expected), score[row], rtol=1e-5)


def draw(table, kinds, seeds, temperature=1.0, top_p=1.0, sample=decode.sample):
    return sample(
        make_step(table),
        starts(kinds),
        make_state(kinds),
        seed=tf.constant(seeds, tf.int64),
        temperature=tf.fill([len(kinds)], temperature),
        top_p=tf.fill([len(kinds)], top_p),
        length=LENGTH,
        end=END,
    )[0].numpy()


@pytest.mark.heavy
def test_the_first_token_is_drawn_with_the_probabilities_of_the_network():
    table, rows = random_table(4, kinds=1, sharpness=1.0), 4000
    tokens = draw(table, [0] * rows, range(rows), sample=tf.function(decode.sample))
    shares = np.bincount(tokens[:, 0], minlength=VOCABULARY) / rows
    expected = tf.nn.softmax(table[0, 0, START]).numpy()
    np.testing.assert_allclose(expected, shares, atol=4 * 0.5 / np.sqrt(rows))


def test_a_row_depends_on_its_own_seed_and_on_no_other_row():
    table = random_table(5, sharpness=0.5)
    whole = draw(table, [0, 1, 2, 0], [7, 8, 9, 7])
    assert whole[0].tolist() == whole[3].tolist()
    for row, (kind, seed) in enumerate(zip([0, 1, 2], [7, 8, 9], strict=True)):
        assert whole[row].tolist() == draw(table, [kind], [seed])[0].tolist()
    assert len({tuple(draw(table, [0], [seed])[0]) for seed in range(20)}) > 1


@pytest.mark.parametrize("changes", [{"temperature": 0.0}, {"top_p": 1e-6}])
def test_no_temperature_or_no_mass_is_greedy(changes):
    table, kinds = random_table(6, sharpness=0.5), [0, 1, 2]
    expected = decode.greedy(make_step(table), starts(kinds), make_state(kinds), length=LENGTH, end=END)[0]
    np.testing.assert_array_equal(expected, draw(table, kinds, [1, 2, 3], **changes))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.floats(0.05, 1.0))
def test_top_p_keeps_the_fewest_likeliest_tokens(logits, top_p):
    kept = decode.keep_likeliest(tf.constant([logits]), tf.constant([top_p], tf.float32))[0].numpy() > decode.NEVER
    shares = tf.nn.softmax(tf.constant(logits)).numpy()
    assert shares[kept].sum() >= top_p - 1e-4
    assert not (~kept).any() or shares[kept].min() >= shares[~kept].max()
    without_least = shares[kept].sum() - (shares == shares[kept].min())[kept].sum() * shares[kept].min()
    assert without_least < top_p + 1e-4


@pytest.mark.parametrize("search", [decode.greedy, lambda *a, **k: decode.beam_search(*a, beams=3, **k)])
def test_the_graph_has_static_shapes_and_takes_any_batch(search):
    step = make_step(random_table(7))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def answer(kinds):
        return search(step, tf.fill(tf.shape(kinds), START), {"kind": kinds, "seen": kinds}, length=LENGTH, end=END)

    assert answer.get_concrete_function().output_shapes[0].as_list() == [None, LENGTH]
    whole = answer(tf.constant([0, 1, 2]))[0].numpy()
    for kind in range(3):
        assert whole[kind].tolist() == answer(tf.constant([kind]))[0][0].numpy().tolist()
    assert answer(tf.constant([], tf.int32))[0].shape == (0, LENGTH)


def test_attention_from_the_cache_is_attention_over_the_whole_sequence():
    rows, length, heads, size = 2, 5, 3, 4
    random = np.random.default_rng(1)
    query, key, value = random.normal(size=(3, rows, length, heads, size)).astype(np.float32)
    kept = cache.empty_cache(tf.constant(rows), length, heads, size)
    for position in range(length):
        kept = cache.write_cache(kept, tf.constant(position), key[:, position], value[:, position])
        found = cache.attend(query[:, position], kept, tf.constant(position))
        logits = np.einsum("bhd,bthd->bht", query[:, position], key[:, : position + 1]) / np.sqrt(size)
        weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        expected = np.einsum("bht,bthd->bhd", weights, value[:, : position + 1])
        np.testing.assert_allclose(expected, found, atol=1e-5)
