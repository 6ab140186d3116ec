"""The paired test: its p against scipy's, its size, its power, and that equal models are never refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, permutation_test, ttest_1samp

from pipeline.evaluation import statistics

NUMBERS = st.integers(-800, 800).map(lambda number: number / 8)


@given(st.lists(NUMBERS, min_size=1, max_size=40), st.booleans(), st.booleans())
def test_equal_models_are_never_worse(values, higher, in_order):
    found = statistics.compare_means(np.array(values), np.array(values), higher=higher, in_order=in_order)
    assert (0.0, 1.0) == (found.worse, found.p)


def test_equal_areas_are_never_worse():
    positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.2, 0.4, 0.6])
    found = statistics.compare_areas(positive, scores, scores)
    assert (0.0, 1.0) == (found.worse, found.p)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_shares_have_mcnemars_exact_p(rows):
    candidate, live = (np.array(side, float) for side in zip(*rows, strict=True))
    lost, won = int((live > candidate).sum()), int((candidate > live).sum())
    expected = binomtest(lost, lost + won, alternative="greater").pvalue if lost + won else 1.0
    found = statistics.compare_means(candidate, live, higher=True)
    assert pytest.approx(expected) == found.p
    assert pytest.approx((lost - won) / len(rows)) == found.worse


@given(st.lists(NUMBERS, min_size=2, max_size=12))
def test_p_is_that_of_all_flips_of_signs(values):
    differences = np.array(values)
    found, _ = statistics.p_value(differences)
    exact = permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue
    assert 1 / (statistics.PERMUTATIONS + 1) <= found <= 1
    assert abs(found - exact) < 0.06


def test_many_rows_have_students_p():
    differences = np.random.default_rng(2).normal(0.01, 1.0, statistics.MAX_ROWS + 5)
    assert (ttest_1samp(differences, 0, alternative="greater").pvalue, "paired t test") == statistics.p_value(
        differences
    )


def test_p_of_a_fair_race_is_even():
    """Under the null hypothesis p is below 5 % in about 5 % of the cases, below a half in about half of them."""
    random = np.random.default_rng(11)
    found = np.array([statistics.p_value(random.normal(0, 1, 40))[0] for _ in range(400)])
    assert 0.025 < (found <= 0.05).mean() < 0.08
    assert 0.42 < (found <= 0.5).mean() < 0.58


def test_p_of_areas_in_a_fair_race_is_even():
    random, found = np.random.default_rng(12), []
    for _ in range(400):
        positive = random.random(150) < 0.4
        level = random.normal(positive.astype(float), 1.0)
        scores = level + random.normal(0, 0.5, (2, 150))
        found.append(statistics.compare_areas(positive, *scores).p)
    assert 0.025 < (np.array(found) <= 0.05).mean() < 0.085


def test_direction_counts():
    live, candidate = np.full(50, 1.0), np.full(50, 0.5)
    assert statistics.compare_means(candidate, live, higher=True).p < 1e-9
    assert statistics.compare_means(candidate, live, higher=False).p == 1.0
    assert 0.5 == statistics.compare_means(candidate, live, higher=True).worse


def test_a_small_loss_on_few_rows_is_chance_and_on_many_is_not():
    few = np.array([1.0] * 98 + [0.0] * 2)
    assert statistics.compare_means(few, np.ones(100), higher=True).p == 0.25
    assert statistics.compare_means(np.tile(few, 50), np.ones(5000), higher=True).p < 1e-20


def test_neighbours_that_repeat_each_other_are_no_evidence():
    """Windows of a time series: each of thirty independent numbers is seen thirty times."""
    random, alone, together = np.random.default_rng(4), [], []
    for _ in range(60):
        differences = np.repeat(random.normal(0, 1, 30), 30)
        alone.append(statistics.compare_means(differences, np.zeros(900), higher=False).p)
        together.append(statistics.compare_means(differences, np.zeros(900), higher=False, in_order=True).p)
    assert (np.array(alone) <= 0.05).mean() > 0.3
    assert (np.array(together) <= 0.05).mean() < 0.1


@given(st.lists(NUMBERS, min_size=2, max_size=500))
def test_stretches_are_all_rows_in_order(values):
    found = statistics.block_means(np.array(values))
    assert 2 <= len(found) <= 40
    assert min(values) <= found.min() <= found.max() <= max(values)
    assert [19.5 + 40 * place for place in range(40)] == statistics.block_means(np.arange(1600.0)).tolist()


def test_interval_is_of_the_difference():
    random = np.random.default_rng(1)
    live = random.normal(0, 1, 400)
    candidate = live - 0.5 + random.normal(0, 0.1, 400)
    found = statistics.compare_means(candidate, live, higher=True)
    assert found.low < found.worse < found.high
    assert pytest.approx(2 * norm.ppf(0.975) * 0.1 / 20, rel=0.1) == found.high - found.low
