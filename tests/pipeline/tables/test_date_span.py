"""Dates that stand for none: found by their distance from the others, unknown in the graph."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
import tensorflow as tf

from pipeline.features import dates
from pipeline.tables.date_span import find_span

DAYS = [date(2015, 1, 1) + timedelta(days=31 * number) for number in range(120)]


def cells(*more: str) -> list[bytes]:
    return [f"{day}".encode() for day in DAYS] + [text.encode() for text in more]


@pytest.mark.parametrize("share", [1, 40, 500])
@pytest.mark.parametrize("mark", ["9999-12-31", "2999-01-01", "1900-01-01", "0001-01-01", "31.12.9999 00:00"])
def test_a_date_far_from_all_others_is_a_mark(mark, share):
    span = find_span(cells(*[mark] * share))
    day = date.fromisoformat(dates.iso(mark)[:10])
    assert {day: share} == span.marks
    assert not span.first <= day <= span.last
    assert all(span.first <= each <= span.last for each in (*DAYS, date(2034, 1, 1)))
    assert f"{day} in {share} row" in span.describe("end")[0]
    assert cells() == span.drop_marks(cells(mark, mark))


def test_marks_on_both_sides():
    span = find_span(cells("9999-12-31", "1900-01-01", "1900-01-01", "2999-12-31"))
    assert {date(9999, 12, 31), date(1900, 1, 1), date(2999, 12, 31)} == set(span.marks)
    assert (date(1965, 1, 1), date(2075, 2, 6)) == (span.first, span.last)


@pytest.mark.parametrize("others", [[], ["2030-06-01"], ["2005-01-01"] * 9, ["soon", ""], ["1931-01-01", "1962-07-01"]])
def test_dates_of_a_long_time_are_none(others):
    assert {} == find_span(cells(*others)).marks


def test_few_dates_have_no_mark():
    assert {} == find_span(cells("9999-12-31")[-5:]).marks


def test_years_of_another_calendar_are_said():
    buddhist = find_span([f"{day.year + 543}-{day.month:02}-01".encode() for day in DAYS])
    assert ["Gregorian" in words for words in buddhist.describe("when")] == [True]
    assert [] == find_span(cells()).describe("when")


def test_a_date_beyond_the_span_is_unknown_in_the_graph():
    text = tf.constant(["2015-01-01", "9999-12-31", "", "2024-12-31T23:59", "2025-01-01", "2014-12-31"])
    parts = dates.parts(text, "end", ("2015-01-01", "2024-12-31"))
    assert [1, 0, 0, 1, 0, 0] == parts["end_known"].numpy().tolist()
    assert [False, True, True, False, True, True] == np.isnan(parts["end_days"]).tolist()
    np.testing.assert_array_equal(dates.parts(text[:1], "end")["end_days"], parts["end_days"][:1])
