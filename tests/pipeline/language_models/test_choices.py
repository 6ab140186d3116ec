"""Answers that begin with one of some texts."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language_models.choices import NONE, choose_among, make_tree

CHOICES = [[5, 1, 9], [5, 2, 9], [7, 9]]
texts = st.lists(st.lists(st.integers(0, 5), max_size=4).map(lambda tokens: [*tokens, 9]), min_size=1, max_size=8)


def walk(choices, logits, rows=1):
    """What is chosen when each step has these logits: lists of tokens."""
    choose, state, tokens = choose_among(choices), tf.zeros([rows], tf.int32), []
    for step, each in enumerate(logits):
        token, state = choose(tf.constant(each, tf.float32), tf.constant(step), state)
        tokens.append(token.numpy())
    return np.stack(tokens, axis=1).tolist()


def prefer(*tokens):
    """Logits of a row that likes these tokens, the first one most."""
    logits = np.zeros(12, np.float32)
    logits[list(tokens)] = np.arange(len(tokens), 0, -1)
    return logits


def test_only_what_a_choice_allows_is_taken():
    assert [[5, 2, 9]] == walk(CHOICES, [[prefer(3, 5)], [prefer(9, 7, 2)], [prefer(0)]])


def test_behind_a_choice_all_is_allowed():
    assert [[7, 9, 3, 9, 0]] == walk(CHOICES, [[prefer(7)], [prefer(1)], [prefer(3)], [prefer(9)], [prefer(0)]])


def test_each_row_is_at_its_own_place():
    both = [prefer(5), prefer(7)]
    assert [[5, 1, 9, 4], [7, 9, 4, 4]] == walk(CHOICES, [both, [prefer(1)] * 2, [prefer(4)] * 2, [prefer(4)] * 2], 2)


def test_infinite_logits_do_not_allow_more():
    forbidden = np.full(12, -np.inf, np.float32)
    forbidden[3] = np.inf
    assert walk(CHOICES, [[forbidden]] * 3)[0] in [*CHOICES, [7, 9, 3]]


@pytest.mark.heavy
@given(texts, st.integers(0, 2**32 - 1))
def test_every_answer_begins_with_a_choice(choices, seed):
    logits = np.random.default_rng(seed).normal(size=(5, 1, 12)).astype(np.float32)
    (answer,) = walk(choices, logits)
    assert any(answer[: len(choice)] == choice for choice in choices)


@given(texts)
def test_every_choice_is_a_way_through_the_tree(choices):
    tokens, nodes = make_tree(choices)
    for choice in choices:
        node = 0
        for token in choice:
            (place,) = np.flatnonzero(tokens[node] == token)
            node = nodes[node, place]
        assert len(tokens) - 1 == node
    assert (tokens[-1] == NONE).all()


@pytest.mark.parametrize("dtype", [tf.int32])
def test_tokens_and_states_are_numbers_of_the_type_of_tokens(dtype):
    token, state = choose_among(CHOICES)(tf.zeros([2, 12]), tf.constant(0), tf.zeros([2], tf.int32))
    assert (dtype, dtype) == (token.dtype, state.dtype)
