"""Values that would flatten a column."""

from __future__ import annotations

import random

import pytest

from pipeline.scaffold.outliers import find_limits

RANDOM = random.Random(0)
USUAL = [RANDOM.gauss(5, 2) for _ in range(300)]
PRICES = [RANDOM.lognormvariate(3, 1.5) for _ in range(2000)]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([*USUAL, 1e30], 1),
        ([*USUAL, -1e30, 1e30], 2),
        ([*USUAL, *[-9999.0] * 5], 5),
        ([*USUAL, *[-9999.0] * 12], 12),
    ],
)
def test_far_values_are_beyond_the_limits(values, count):
    found = find_limits(values)
    assert count <= found.count <= count + 4
    assert 30 > max(abs(found.low), abs(found.high))


@pytest.mark.parametrize("values", [USUAL, PRICES, [0.0] * 299 + [5.0], [1.0] * 300, [], [*USUAL[:20], 1e30]])
def test_no_limits(values):
    assert find_limits(values) is None


@pytest.mark.parametrize("mark", [-999.0, 9999.0, -1e30])
def test_a_frequent_mark_is_named_with_the_way_out(mark):
    found = find_limits([*USUAL, *[mark] * 60])
    assert (60, mark) == (found.count, found.farthest)
    assert "60 values are far from all others" in found.describe("a")
    assert "empty the cells, or name it in missing= of DATA" in found.describe("a")


@pytest.mark.parametrize("marks", [(-9999.0, -999.0), (9999.0, -999.0), (-9999.0, -999.0, -99.0), (-1e6, 99999.0)])
def test_several_marks_are_named(marks):
    found = find_limits([*USUAL, *[mark for mark in marks for _ in range(9)]])
    assert (marks, 9 * len(marks)) == (found.marks, found.count)
    assert f"such as {' and '.join(f'{mark:g}' for mark in marks)}" in found.describe("a")
    assert 30 > max(abs(found.low), abs(found.high))


@pytest.mark.parametrize(
    ("mark", "named"), [(-999.0, True), (-99.0, False), (-500.0, False), (999.0, True), (-9.0, False)]
)
def test_nines_are_marks_also_where_they_are_not_that_far(mark, named):
    temperatures = [RANDOM.uniform(-20, 40) for _ in range(500)]
    found = find_limits([*temperatures, *[mark] * 9])
    assert ((mark,) if named else ()) == (found.marks if found else ())
