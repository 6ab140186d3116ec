"""Times in forms that are not read are told from numbers and names."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipeline.tables.time_forms import describe_form, describe_parts, find_part

DAYS = [date(2020, 1, 1) + timedelta(days=number) for number in range(100)]


@pytest.mark.parametrize(
    "form", ["%d-%b-%Y", "%b %Y", "%A, %B %d, %Y", "%Y.%m.%d", "%m-%d-%Y", "%Y%m%dT%H%M%S", "%b-%y"]
)
def test_times_in_words_and_other_marks(form):
    assert repr(DAYS[0].strftime(form)) == describe_form("x", [day.strftime(form) for day in DAYS])


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("x", ["2020Q1", "2020Q2"], "'2020Q1'"),
        ("x", ["01. Januar 2020", "02. März 2020"], "'01. Januar 2020'"),
        ("x", ["2024년 1월 31일", "2024년 2월 1일"], "'2024년 1월 31일'"),
        ("x", ["2024年1月31日", "2024年2月"], "'2024年1月31日'"),
        ("orderDate", ["43831", "43832"], "43831 (days as Excel counts them)"),
        ("ts", ["1577836800", "1577836801"], "1577836800 (seconds since 1970)"),
        ("x", [str(1_577_836_800 + 3600 * hour) for hour in range(20)], "1577836800 (seconds since 1970)"),
        ("month", ["202001", "202002"], "202001 (a year and a month)"),
        ("x", [day.strftime("%Y%m%d") for day in DAYS], "20200101 (a date without hyphens)"),
    ],
)
def test_times_are_described(name, cells, expected):
    assert expected == describe_form(name, cells)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("price", ["43831", "43832"]),
        ("id", ["1577836800", "1577836801"]),
        ("x", ["Set 1", "Set 2"]),
        ("month", ["Jan", "Feb"]),
        ("month", ["1", "2"]),
        ("time", ["17:30", "17:31"]),
        ("day", ["2024-01-01", "2024-01-02"]),
    ],
)
def test_other_columns_are_no_times(name, cells):
    assert not describe_form(name, cells)


@pytest.mark.parametrize(
    ("name", "cells", "part"),
    [
        ("hr", ["0", "23"], "hour"),
        ("Uhrzeit", ["00:00", "13:30"], "clock"),
        ("t", ["9:05 pm", "12:00 AM"], "clock"),
        ("year", ["2019", "2024"], "year"),
        ("order_month", ["1", "12"], "month"),
        ("Tag", ["1", "31"], "day"),
        ("hour", ["7", "31"], ""),
        ("month", ["Jan", "Feb"], ""),
        ("rooms", ["1", "4"], ""),
        ("thread", ["1", "4"], ""),
        ("hr", [], ""),
    ],
)
def test_parts_of_a_time(name, cells, part):
    assert part == find_part(name, cells)


@pytest.mark.parametrize(
    ("parts", "dated", "names"),
    [
        ({"hr": "hour"}, ["dteday"], "dteday and hr"),
        ({"year": "year", "month": "month", "day": "day", "hour": "hour"}, [], "year, month, day and hour"),
        ({"y": "year", "m": "month"}, [], "y and m"),
        ({"hr": "hour"}, [], ""),
        ({"hr": "hour"}, ["start", "end"], ""),
        ({"year": "year"}, [], ""),
        ({}, ["day"], ""),
    ],
)
def test_columns_that_tell_one_time(parts, dated, names):
    words = describe_parts(parts, dated)
    assert [names] * bool(names) == [sentence.partition(" tell one time")[0] for sentence in words]
