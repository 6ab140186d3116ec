"""Metrics of generated samples, against scikit-learn's kernel and scipy's entropy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics.pairwise import polynomial_kernel

from pipeline.evaluation.metrics.generation import (
    class_entropy,
    kernel_distance,
    known_words,
    longest_copy,
    pick_evenly,
)


def reference(real, drawn):
    """The unbiased estimate, equation 4 of the paper, term by term."""
    kernels = [polynomial_kernel(*pair, degree=3, coef0=1) for pair in ((real, real), (drawn, drawn), (real, drawn))]
    own = [kernel[~np.eye(len(kernel), dtype=bool)].mean() for kernel in kernels[:2]]
    return sum(own) - 2 * kernels[2].mean()


@given(st.integers(0, 500), st.integers(1, 100))
def test_rows_are_picked_from_all_over(rows, count):
    picked = pick_evenly(np.arange(rows), count)
    assert min(rows, count) == len(picked) == len(set(picked.tolist()))
    assert len(set(np.diff([*picked, rows]).tolist())) <= 2


@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 20), st.floats(-2, 2), st.integers(0, 99))
def test_agrees_with_the_reference(rows, others, size, shift, seed):
    random = np.random.default_rng(seed)
    real, drawn = random.normal(size=(rows, size)), random.normal(shift, size=(others, size))
    assert kernel_distance(real, drawn) == pytest.approx(reference(real, drawn), rel=1e-9, abs=1e-9)


def test_is_near_zero_for_the_same_kind_and_grows_with_the_difference():
    random = np.random.default_rng(0)
    real, same, near, far = (random.normal(shift, size=(1000, 16)) for shift in (0, 0, 0.2, 1))
    assert abs(kernel_distance(real, same)) < 0.01
    assert kernel_distance(real, same) < kernel_distance(real, near) < kernel_distance(real, far)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_entropy_agrees_with_scipy(classes):
    counts = np.bincount(classes)
    assert class_entropy(np.array(classes)) == pytest.approx(float(entropy(counts)), abs=1e-12)


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=20))
def test_the_longest_copy_is_that_of_the_slow_way(text, source):
    pieces = [text[start:end] for start in range(len(text)) for end in range(start, len(text) + 1)]
    assert longest_copy(text, source) == max((len(piece) for piece in pieces if piece in source), default=0)


@pytest.mark.parametrize(
    ("texts", "share"), [(["To be, or not"], 1.0), (["to bee"], 0.5), (["Isn't it"], 1.0), (["", "..."], 1.0)]
)
def test_words_are_known_in_any_case(texts, share):
    assert known_words(texts, "Not to BE, it isn't or") == share
