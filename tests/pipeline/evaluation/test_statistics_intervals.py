"""Intervals: against scipy and statsmodels' published values, and what must hold of any of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from pipeline.evaluation import row_metrics, statistics


@given(st.integers(1, 10_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_share_is_wilsons(counts):
    hits, rows = counts
    expected = binomtest(hits, rows).proportion_ci(0.95, "wilson")
    low, high = statistics.share_interval(hits, rows)
    assert (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9)) == (low, high)
    assert 0 <= low <= hits / rows + 1e-12
    assert hits / rows - 1e-12 <= high <= 1


def test_share_of_nothing_may_be_anything():
    assert (0.0, 1.0) == statistics.share_interval(0, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50).filter(lambda values: np.std(values) > 1e-3))
def test_mean_is_students(values):
    array = np.array(values)
    expected = t.interval(0.95, len(array) - 1, array.mean(), array.std(ddof=1) / math.sqrt(len(array)))
    if array.min() >= 0:
        expected = max(0.0, expected[0]), expected[1]
    if np.isin(array, (0, 1)).all():
        expected = statistics.share_interval(array.sum(), len(array))
    np.testing.assert_allclose(statistics.mean_interval(array), expected, rtol=1e-9)


def test_one_number_has_no_interval():
    assert all(map(math.isnan, statistics.mean_interval(np.array([3.5]))))


def test_interval_covers_the_true_mean_as_often_as_it_says():
    random = np.random.default_rng(7)
    samples = random.normal(1.0, 2.0, (2000, 30))
    covered = [low <= 1.0 <= high for low, high in map(statistics.mean_interval, samples)]
    assert 0.935 < np.mean(covered) < 0.965


def test_interval_of_an_area_covers_the_true_area():
    """Normal scores one deviation apart have the area Φ(1/√2) = 0.7602."""
    random, covered = np.random.default_rng(3), []
    for _ in range(400):
        positive = np.arange(200) < 80
        scores = random.normal(positive.astype(float), 1.0)
        (value,), variance = row_metrics.roc_areas(positive, scores[None])
        low, high = statistics.area_interval(float(value), float(variance[0, 0]))
        covered.append(low <= 0.76025 <= high)
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize("unit", [1e-300, 1e-9, 1.0, 1e9, 1e300])
def test_rounded_numbers_keep_their_digits_whatever_the_unit(unit):
    numbers = unit * np.array([1.23456789123, -0.000123456, 0.0])
    assert statistics.keep_digits(numbers) == pytest.approx(numbers, rel=1e-7, abs=unit * 1e-7)


def test_rounding_leaves_what_is_no_number():
    assert [1.0, None] == [None if np.isnan(n) else n for n in statistics.keep_digits([1.0, np.nan])]
    assert [] == statistics.keep_digits([]).tolist()
