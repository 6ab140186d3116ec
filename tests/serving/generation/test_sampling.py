"""Draws of tokens: temperature, nucleus, penalties, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.generation.sampling import Sampler, Sampling, log_probabilities

logits = st.lists(st.floats(-20, 20), min_size=1, max_size=40).map(lambda numbers: np.array(numbers, np.float32))


def _draws(row, count=500, **sampling):
    sampler = Sampler(Sampling(**sampling))
    return [sampler.draw(row) for _ in range(count)]


@given(logits, st.floats(0, 2), st.floats(0, 1), st.integers(-(2**63), 2**63 - 1))
def test_draws_are_tokens_and_repeat_with_their_seed(row, temperature, top_p, seed):
    first, second = (_draws(row, 5, temperature=temperature, top_p=top_p, seed=seed) for _ in range(2))
    assert first == second
    assert all(0 <= token < len(row) for token in first)


@given(logits)
def test_cold_takes_the_most_likely(row):
    assert {int(row.argmax())} == set(_draws(row, 3, temperature=0.0))
    assert {int(row.argmax())} == set(_draws(row, 3, temperature=0.00005, seed=8))


def test_draws_have_the_probabilities_of_the_softmax():
    wanted = np.array([0.1, 0.2, 0.3, 0.4])
    counts = np.bincount(_draws(np.log(wanted), 20_000, seed=1), minlength=4)
    assert pytest.approx(wanted, abs=0.02) == counts / 20_000
    hot = np.bincount(_draws(np.log(wanted), 20_000, seed=1, temperature=2.0), minlength=4)
    assert pytest.approx(np.sqrt(wanted) / np.sqrt(wanted).sum(), abs=0.02) == hot / 20_000


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.0, {3}), (0.39, {3}), (0.41, {2, 3}), (0.75, {1, 2, 3}), (1.0, {0, 1, 2, 3})]
)
def test_the_nucleus_is_the_fewest_that_suffice(top_p, kept):
    assert kept == set(_draws(np.log([0.1, 0.2, 0.3, 0.4]), seed=2, top_p=top_p))


def test_the_nucleus_of_a_large_vocabulary():
    """Beyond the few hundred that are looked at first."""
    flat = np.zeros(50_000, np.float32)
    assert len(set(_draws(flat, 100, seed=3, top_p=0.5))) > 95
    flat[7] = 30.0
    assert {7} == set(_draws(flat, 50, seed=3, top_p=0.9))


def test_nothing_impossible_is_drawn():
    row = np.array([-np.inf, 0.0, np.nan, -np.inf], np.float32)
    assert {1} == set(_draws(row, seed=4))


def test_choices_draw_differently():
    row = np.zeros(1000, np.float32)
    assert Sampler(Sampling(seed=1), 0).draw(row) != Sampler(Sampling(seed=1), 1).draw(row)


def test_penalties_and_bias():
    row = np.zeros(4, np.float32)
    assert [0, 1, 2, 3] == _draws(row, 4, temperature=0.0, presence_penalty=1.0)
    assert [0, 0, 1, 0] == _draws(np.array([1.5, 0, -9, -9]), 4, temperature=0.0, frequency_penalty=1.0)
    assert {2} == set(_draws(row, temperature=1.0, bias={2: 100.0}))


@given(logits, st.integers(0, 5))
def test_log_probabilities_are_those_of_the_softmax(row, count):
    token = len(row) // 2
    chosen, top = log_probabilities(row, token, count)
    wanted = np.log(np.exp(row.astype(float) - row.max()) / np.exp(row.astype(float) - row.max()).sum())
    assert pytest.approx(wanted[token], abs=1e-6) == chosen
    assert pytest.approx(sorted(wanted, reverse=True)[:count], abs=1e-6) == [number for _, number in top]
