"""Intervals, slices and the paired test of metrics that are no mean over rows."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Statistic, mean_of
from pipeline.recipe import Hash, Metric, Time


def recipe(split=None, *, higher=True):
    return SimpleNamespace(split=split or Hash(), metrics=(Metric("m", higher_is_better=higher),))


def test_the_interval_of_a_mean_is_that_of_scipy():
    values = np.random.default_rng(1).exponential(size=200)
    low, high = bootstrap.interval(mean_of(values), np.arange(200))
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, random_state=1)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval), abs=0.02)


@pytest.mark.heavy
def test_the_interval_contains_the_truth_as_often_as_it_says():
    random = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        pairs = random.normal((3.0, 2.0), size=(60, 2))
        ratio = Statistic(60, lambda rows, pairs=pairs: float(pairs[rows, 0].sum() / pairs[rows, 1].sum()))
        low, high = bootstrap.interval(ratio, np.arange(60))
        hits += low <= 1.5 <= high
    assert hits / 200 == pytest.approx(0.95, abs=0.05)


def test_equal_models_are_not_worse_and_a_worse_one_is():
    random = np.random.default_rng(3)
    live = random.normal(size=300)
    same = bootstrap.compare(mean_of(live), mean_of(live), higher=True)
    assert (same.worse, same.p) == (0.0, 1.0)
    worse = bootstrap.compare(mean_of(live - 0.3 + random.normal(0, 0.5, 300)), mean_of(live), higher=True)
    assert worse.p < 0.01
    assert worse.low < worse.worse < worse.high
    better = bootstrap.compare(mean_of(live - 0.3), mean_of(live), higher=False)
    assert better.worse == pytest.approx(-0.3)
    assert better.p == 1.0


@pytest.mark.heavy
def test_the_test_is_as_strict_as_it_says():
    random = np.random.default_rng(4)
    refused = 0
    for _ in range(200):
        live, candidate = random.normal(size=(2, 80))
        refused += bootstrap.compare(mean_of(candidate), mean_of(live), higher=True).p <= 0.05
    assert refused / 200 == pytest.approx(0.05, abs=0.045)


def test_correlated_rows_are_drawn_in_blocks():
    steps = np.repeat(np.random.default_rng(5).normal(size=20), 20)  # 20 days, each of 20 equal hours
    low, high = bootstrap.overall_intervals(recipe(), {"m": mean_of(steps)})["m"]
    wide_low, wide_high = bootstrap.overall_intervals(recipe(Time("2020", "2021")), {"m": mean_of(steps)})["m"]
    assert wide_high - wide_low > 2 * (high - low)


def test_slices_and_plain_numbers():
    values = np.array([1.0, 2.0, 3.0, np.nan])
    scores = {"m": mean_of(values), "plain": 0.5, "other": mean_of(np.ones(7))}
    assert bootstrap.plain_values(scores) == {"m": 2.0, "plain": 0.5, "other": 1.0}
    del scores["other"]
    slices = bootstrap.measure_slices(scores, {"colour": np.array([b"red", b"red", b"blue", b"grey"], object)})
    assert [(part["slice"], part["examples"], part["metrics"]) for part in slices] == [
        ("colour=blue", 1, {"m": 3.0}),
        ("colour=grey", 1, {"m": None}),
        ("colour=red", 2, {"m": 1.5}),
    ]
    assert bootstrap.measure_slices(scores, {"users": np.array([b"a"] * 9, object)}) == []


def test_a_count_of_distinct_things_has_no_interval():
    """A sample with replacement has too few of them."""
    distinct = bootstrap.Statistic(50, lambda rows: len(set(rows.tolist())))
    assert bootstrap.interval(distinct, np.arange(50)) == []


def test_nor_has_its_difference_from_the_live_model_a_test():
    """All samples of coverage differ by less than the models do."""
    lists = np.random.default_rng(0).integers(0, 400, (2, 300)) % [[150], [400]]
    live, candidate = (
        {"distinct": Statistic(300, lambda rows, own=own: len(set(own[rows]))), "mean": mean_of(own * 1.0)}
        for own in lists
    )
    both = SimpleNamespace(split=Hash(), metrics=(Metric("distinct"), Metric("mean")))
    tests = bootstrap.compare_models(both, candidate, live)
    assert ["mean"] == list(tests)


def test_a_statistic_that_is_seldom_defined_has_no_interval():
    rare = Statistic(50, lambda rows: 1.0 if 7 in rows and 8 in rows and 9 in rows else math.nan)
    assert bootstrap.interval(rare, np.arange(50)) == []


def test_a_statistic_over_other_units_has_no_slices_beside_one_over_rows():
    scores = {"m": mean_of(np.arange(4.0)), "per_user": mean_of(np.ones(2))}
    slices = bootstrap.measure_slices(scores, {"colour": np.array([b"red", b"red", b"blue", b"blue"], object)})
    assert [{"m"}, {"m"}] == [part["metrics"].keys() for part in slices]


def test_slices_of_the_same_rows_are_one():
    of_tfma = {
        "slice": "colour=red",
        "examples": 2,
        "metrics": {"accuracy": 0.5},
        "intervals": {"accuracy": [0.1, 0.9]},
    }
    own = {"slice": "colour=red", "examples": 2, "metrics": {"m": None}, "intervals": {}}
    other = {"slice": "colour=blue", "examples": 1, "metrics": {"m": 3.0}, "intervals": {}}
    red, blue = bootstrap.join_slices([of_tfma], [own, other])
    assert red == {**of_tfma, "metrics": {"accuracy": 0.5, "m": None}}
    assert blue == other
    assert bootstrap.join_slices([], [own]) == [own]
