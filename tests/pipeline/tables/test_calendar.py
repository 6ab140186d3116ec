"""Steps of time, and times as tables write them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables import calendar
from pipeline.tables.calendar import DAY_FIRST, MONTH_FIRST, BusinessDays, add_step, follows, parse_time

FIRST, LAST = map(datetime.fromisoformat, ("1900-01-01", "2100-01-01"))
TIMES = st.datetimes(FIRST, LAST).map(lambda moment: moment.replace(microsecond=0))
WEEKS = st.sets(st.sampled_from(calendar.WEEKDAYS), min_size=1).map(lambda days: BusinessDays(week=" ".join(days)))
STEPS = st.one_of(
    st.timedeltas(timedelta(seconds=1), timedelta(days=40)),
    st.integers(1, 30).map(lambda months: relativedelta(months=months)),
)


@given(TIMES, WEEKS, st.integers(0, 600))
def test_business_days_are_counted_as_they_are_added(moment, week, count):
    moment += timedelta(days=min((day - moment.weekday()) % 7 for day in week.weekdays))
    later = add_step(moment, week, count)
    days = [moment.date() + timedelta(days=day) for day in range(1, (later - moment).days + 1)]
    assert count == sum(day.weekday() in week.weekdays for day in days)
    assert count == calendar.business_days_between(moment, later, week)


@pytest.mark.parametrize("week", ["", "Mon Funday", "monday"])
def test_a_week_has_days(week):
    with pytest.raises(ValueError, match="has some of Mon Tue Wed Thu Fri Sat Sun"):
        BusinessDays(week=week)


@given(TIMES, WEEKS)
def test_the_week_of_a_series_is_found(moment, week):
    begin = add_step(moment, week, 0)
    rows = [add_step(begin, week, number) for number in range(10 * len(week.weekdays))]
    exception = rows[3] + timedelta(days=1)  # a shop that was open on a Sunday, once
    found = calendar.find_business_days([*rows, exception])
    assert (found.weekdays if found else None) == (week.weekdays if 1 < len(week.weekdays) < 7 else None)


@given(TIMES.filter(lambda moment: moment.day <= 28), STEPS)
def test_the_next_time_follows(moment, step):
    assert follows(moment, add_step(moment, step, 1), step)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("2024-03-01", "2024-03-04", True),  # over a weekend
        ("2024-03-28", "2024-04-02", True),  # over Easter
        ("2024-03-01", "2024-03-11", False),  # five days are no holidays
        ("2024-03-01", "2024-03-02", False),  # a Saturday
        ("2024-03-04", "2024-03-04", False),
        ("2024-03-04T10:00", "2024-03-05T11:00", False),
    ],
)
def test_a_holiday_is_no_gap_in_business_days(earlier, later, expected):
    assert expected is follows(*map(datetime.fromisoformat, (earlier, later)), BusinessDays())


@given(TIMES, st.sampled_from([("%m/%d/%Y", MONTH_FIRST), ("%d/%m/%Y", DAY_FIRST), ("%d-%m-%Y", DAY_FIRST)]))
def test_the_order_says_which_number_is_the_month(moment, written):
    form, order = written
    assert moment == parse_time(moment.strftime(f"{form} %H:%M:%S"), order)
    assert moment == parse_time(moment.strftime(f"{form} %I:%M:%S %p"), order)


@pytest.mark.parametrize("raw", ["20240131", 20240131, "2024-01-31", date(2024, 1, 31), "31.1.2024", "2024/1/31"])
@pytest.mark.parametrize("order", ["", MONTH_FIRST, DAY_FIRST])
def test_what_is_clear_needs_no_order(raw, order):
    assert datetime.fromisoformat("2024-01-31") == parse_time(raw, order)


@pytest.mark.parametrize(
    ("raw", "order"),
    [
        ("1/31/2024", ""),
        ("31/1/2024", MONTH_FIRST),
        ("1/31/2024", DAY_FIRST),
        ("1/1/2024 13:00 PM", DAY_FIRST),
        (True, ""),
    ],
)
def test_what_is_no_time(raw, order):
    with pytest.raises((ValueError, TypeError)):
        parse_time(raw, order)


@pytest.mark.parametrize(("text", "year"), [("1/1/68", 2068), ("1/1/69", 1969), ("1/1/99", 1999), ("1/1/00", 2000)])
def test_two_digits_of_a_year(text, year):
    assert year == parse_time(text, DAY_FIRST).year
