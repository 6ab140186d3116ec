"""Answers that go on from a prompt."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.generation.decode import greedy, sample
from pipeline.generation.prompt import begin_with

END, SIZE = 0, 7


def count_up(tokens, position, state):
    """The next token is one more, round and round, never the end."""
    return tf.one_hot(tokens % (SIZE - 1) + 1, SIZE, 5.0, 0.0), state


@pytest.mark.heavy
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(1, 6), max_size=4), st.integers(0, 4)), min_size=1, max_size=4))
def test_the_prompt_comes_first_and_the_length_is_that_asked_for(rows):
    prompt = np.array([row + [END] * (4 - len(row)) for row, _ in rows], np.int32)
    sizes, lengths = np.array([len(row) for row, _ in rows], np.int32), np.array([n for _, n in rows], np.int32)
    step = begin_with(count_up, tf.constant(prompt), sizes, lengths, END)
    start = tf.fill([len(rows)], 1)
    answer = greedy(step, start, (), length=10, end=END)[0].numpy()
    zeros = tf.zeros(len(rows))
    options = {"seed": tf.range(len(rows), dtype=tf.int64), "temperature": zeros + 0.01, "top_p": zeros + 1}
    drawn = sample(step, start, (), **options, length=10, end=END)[0].numpy()
    for row, (given_tokens, length) in enumerate(rows):
        last = given_tokens[-1] if given_tokens else 1
        expected = [*given_tokens, *((last + at) % 6 + 1 for at in range(length))]
        assert [*expected, *[END] * (10 - len(expected))] == answer[row].tolist() == drawn[row].tolist()
