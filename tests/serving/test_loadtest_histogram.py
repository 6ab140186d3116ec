"""The latencies of a load test: how exact they are, and how they are shown."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.loadtest import Histogram, Load, Result, Target, report

seconds = st.floats(1e-6, 1000.0)


def _recorded(values):
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(seconds, min_size=1, max_size=300), st.sampled_from([0.1, 25, 50, 90, 95, 99, 99.9, 100]))
def test_percentiles_are_within_a_hundredth_of_the_exact_ones(values, percent):
    histogram = _recorded(values)
    assert pytest.approx(np.percentile(values, percent, method="inverted_cdf"), rel=0.01) == histogram.percentile(
        percent
    )
    assert (min(values), max(values), len(values)) == (histogram.lowest, histogram.highest, histogram.count)
    assert pytest.approx(np.mean(values)) == histogram.mean


@given(st.lists(seconds, min_size=1, max_size=100), st.integers(1, 40))
def test_the_rows_hold_all_values_in_order(values, wanted):
    histogram = _recorded(values)
    rows = histogram.rows(wanted)
    assert len(values) == sum(count for _, _, count in rows)
    assert 1 <= len(rows) <= wanted
    assert all(low < high for low, high, _ in rows)
    assert all(math.isclose(first[1], second[0]) for first, second in itertools.pairwise(rows))
    assert rows[0][0] <= min(values) * 1.01
    assert rows[-1][1] >= max(values) * 0.99


def test_a_histogram_takes_any_duration():
    histogram = _recorded([0.0, 1e-9, 1e9])
    assert pytest.approx(1e-6, rel=0.01) == histogram.percentile(1)  # the lowest that is told apart
    assert (0.0, 1e9) == (histogram.lowest, histogram.percentile(100))
    assert [] == Histogram().rows()
    assert 0.0 == Histogram().percentile(50)


@given(st.lists(seconds, max_size=50), st.integers(0, 10**9), st.text(max_size=300))
def test_the_report_fits_80_columns(values, unsent, name):
    histogram = _recorded(values)
    target = Target("http://127.0.0.1:8501", "/", b"x" * 1000, model=name.replace("\n", " "))
    result = Result(target, Load(rate=1e6), histogram, 10**9, {"HTTP 503": 3}, 1.0, 10**12, unsent, 1.0, 1.0, 1.0)
    lines = report.text(result).split("\n")
    assert max(map(len, lines)) <= report.WIDTH


def test_bars():
    assert ["", "▏", "█" * 20, "█" * 40] == [report.bar(share) for share in (0, 1e-9, 0.5, 1)]
