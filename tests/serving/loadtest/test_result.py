"""The latencies of a load test: how exact they are, and how they are shown."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.loadtest import result as loadtest_result
from serving.loadtest.result import Result
from serving.loadtest.target import Load, Target

seconds = st.floats(2**-20, 1000.0, width=32)


def _result(values, target=None, **more):
    latency = np.array(values, np.float32)
    target = target or Target("http://127.0.0.1:8501", "/", b"")
    counts = {"requests": len(values), "errors": {}, "counted_s": 1.0, "bytes_received": 0, **more}
    return Result(target, Load(rate=1e6), latency, **counts)


@given(st.lists(seconds, min_size=1, max_size=300), st.sampled_from([0.1, 25, 50, 90, 95, 99, 99.9, 100]))
def test_a_percentile_is_the_value_of_the_nearest_rank(values, percent):
    rank = max(math.ceil(len(values) * Fraction(str(percent)) / 100), 1)
    assert sorted(np.float32(values))[rank - 1] == _result(values).percentile(percent)


def test_latencies_in_milliseconds():
    names = ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
    expected = dict(zip(names, [1.0, 50.5, 50.0, 90.0, 95.0, 99.0, 100.0, 100.0], strict=True))
    assert expected == _result([count / 1000 for count in range(1, 101)]).milliseconds()
    assert dict.fromkeys(expected, 0.0) == _result([]).milliseconds()
    assert (0.0, []) == (_result([]).percentile(50), _result([]).histogram())


@given(st.lists(st.floats(0.0, 1e9, width=32), min_size=1, max_size=100), st.integers(1, 40))
def test_the_histogram_holds_all_values_in_order(values, bins):
    rows = _result(values).histogram(bins)
    assert len(values) == sum(count for _, _, count in rows)
    assert 1 <= len(rows) <= bins
    assert all(low < high for low, high, _ in rows)
    assert all(first[1] == second[0] for first, second in itertools.pairwise(rows))
    assert max(min(values), 1e-6) == rows[0][0]
    assert rows[-1][1] >= max(values)


@given(st.lists(seconds, max_size=50), st.integers(0, 10**9), st.text(max_size=300))
def test_the_report_fits_80_columns(values, unsent, name):
    target = Target("http://127.0.0.1:8501", "/", b"x" * 1000, model=name.replace("\n", " "))
    shares = dict.fromkeys(["waited", "behind_schedule", "generator_cpu"], 1.0)
    counts = {"requests": 10**9, "errors": {"HTTP 503": 3}, "bytes_received": 10**12, "unsent": unsent}
    result = _result(values, target, **counts, **shares)
    lines = loadtest_result.render_text(result).split("\n")
    assert max(map(len, lines)) <= loadtest_result.WIDTH


def test_bars():
    assert ["", "▏", "█" * 20, "█" * 40] == [loadtest_result.bar(share) for share in (0, 1e-9, 0.5, 1)]
