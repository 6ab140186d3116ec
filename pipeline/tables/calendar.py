"""Time in tables: how times are written, and the step from one row of a series to the next.

A step is a duration (`timedelta`), a number of calendar months (`relativedelta(months=1)`), or `BusinessDays`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from dateutil.relativedelta import relativedelta

from pipeline.features import dates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SELDOM = 0.1  # of the rows of the weekday with the most: an exception
MONTH_FIRST, DAY_FIRST = ORDERS = ("month first", "day first")
# 1/31/2024 or 31/1/2024, with or without a time of day: 17:30, 17:30:00, 5:30 PM
_SLASHED = re.compile(
    r"\s*(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?)?\s*"
)
_ZONED = re.compile(r"\d{2}:\d{2}.*([+-]\d{2}(:?\d{2})?|Z|UTC)$", re.ASCII)  # a time of day and its zone
COMPACT_DIGITS, FIRST_YEAR, LAST_YEAR = 8, 1800, 2200  # 20240131
_THIS_CENTURY = 69  # two digits of a year as in POSIX: 69 to 99 are of the 20th century
UNITS = {
    ("a day", "days"): timedelta(days=1),
    ("an hour", "hours"): timedelta(hours=1),
    ("a minute", "minutes"): timedelta(minutes=1),
}


@dataclass(frozen=True)
class BusinessDays:
    """The step from one business day to the next.

    Args:
        holidays: Business days without a row, one after the other, that are holidays and no gap.
        week: The business days of a week, such as "Mon Tue Wed Thu Fri Sat".

    Raises:
        ValueError: The week has no days, or unknown ones.
    """

    holidays: int = 4
    week: str = "Mon Tue Wed Thu Fri"

    def __post_init__(self) -> None:
        if not self.week.split() or {*self.week.split()} - {*WEEKDAYS}:
            raise ValueError(f"a week of BusinessDays has some of {' '.join(WEEKDAYS)}: {self.week!r}")

    @cached_property
    def weekdays(self) -> tuple[int, ...]:
        """The business days, 0 for Monday, ascending."""
        return tuple(day for day, name in enumerate(WEEKDAYS) if name in self.week.split())

    @cached_property
    def passed(self) -> tuple[int, ...]:
        """How many business days a week has had by the end of each weekday."""
        return tuple(sum(day <= end for day in self.weekdays) for end in range(len(WEEKDAYS)))

    def number(self, moment: datetime) -> int:
        """Returns how many business days there were from Monday, 1 January of year 1, to a day, itself included."""
        weeks, weekday = divmod(moment.toordinal() - 1, len(WEEKDAYS))
        return len(self.weekdays) * weeks + self.passed[weekday]

    def find_date(self, number: int) -> date:
        """Returns the business day of a number."""
        weeks, place = divmod(number - 1, len(self.weekdays))
        return date.fromordinal(len(WEEKDAYS) * weeks + self.weekdays[place] + 1)


Step: TypeAlias = "timedelta | relativedelta | BusinessDays"


def month_count(step: relativedelta) -> int:
    """Returns the number of calendar months of a step.

    Raises:
        ValueError: It is not a number of whole months.
    """
    if step != relativedelta(years=step.years, months=step.months):
        raise ValueError(f"a step is a timedelta, relativedelta(months=...) or BusinessDays(): {step}")
    return 12 * step.years + step.months


def months_between(earlier: datetime, later: datetime) -> int:
    """Returns the number of months between two months; the days do not matter."""
    return 12 * (later.year - earlier.year) + later.month - earlier.month


def find_business_days(moments: Iterable[datetime]) -> BusinessDays | None:
    """Returns the business days of a series that has rows on some days of the week only; None for all or one."""
    rows = Counter(moment.weekday() for moment in moments)
    most = max(rows.values(), default=0)
    names = [name for day, name in enumerate(WEEKDAYS) if rows[day] > SELDOM * most]
    return BusinessDays(week=" ".join(names)) if 1 < len(names) < len(WEEKDAYS) else None


def business_days_between(earlier: datetime, later: datetime, step: BusinessDays) -> int:
    """Returns the number of steps from one business day to a later one, holidays counted as if they had a row.

    0 if one of them is no business day, or if they are not at the same time of day.
    """
    known = earlier.weekday() in step.weekdays and later.weekday() in step.weekdays
    return step.number(later) - step.number(earlier) if known and earlier.time() == later.time() else 0


def follows(earlier: datetime, later: datetime, step: Step) -> bool:
    """Returns whether one time is a step after the other."""
    if isinstance(step, timedelta):
        return later - earlier == step
    if isinstance(step, BusinessDays):
        return 1 <= business_days_between(earlier, later, step) <= 1 + step.holidays
    return months_between(earlier, later) == month_count(step)


def add_step(moment: datetime, step: Step, count: int) -> datetime:
    """Returns the time so many steps later; no business day is taken for a holiday."""
    if isinstance(step, timedelta):
        return moment + count * step
    if not isinstance(step, BusinessDays):
        return moment + relativedelta(months=count * month_count(step))
    return datetime.combine(step.find_date(step.number(moment) + count), moment.time())


def describe_step(step: Step) -> str:
    """Returns a step in words: "an hour", "15 minutes", "a business day", "3 months"."""
    if isinstance(step, BusinessDays):
        return "a business day"
    if isinstance(step, relativedelta):
        return "a month" if month_count(step) == 1 else f"{month_count(step)} months"
    for (single, several), duration in UNITS.items():
        if step % duration == timedelta(0):
            count = step // duration
            return single if count == 1 else f"{count} {several}"
    return f"{step.total_seconds():g} seconds"


def parse_time(raw: Any, order: str = "") -> datetime:
    """Parses a time; returns it without a zone, in UTC if it has one.

    Args:
        raw: A date or a time, a number such as 20240131, or text: ISO, or as `pipeline.features.dates` reads it.
        order: "month first" if the text is such as 1/31/2024, "day first" if it is such as 31/1/2024.

    Raises:
        ValueError: It is no time; likewise TypeError.
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    value = _parse_text(raw, order) if isinstance(raw, str) else raw
    value = value if isinstance(value, datetime) else datetime.combine(value, time())
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def has_zone(raw: Any) -> bool:
    """Returns whether a time says its zone: it is read in UTC then."""
    return bool(isinstance(raw, str) and _ZONED.search(raw.strip())) or getattr(raw, "tzinfo", None) is not None


def are_times(cells: Sequence[Any], order: str) -> bool:
    """Returns whether cells hold times that `parse_time` reads; of numbers only such as 20240131."""
    if all(isinstance(cell, int) or str(cell).strip().isdigit() for cell in cells):
        return all(_is_compact(str(cell).strip()) for cell in cells)
    return all(parse_moment(cell, order) for cell in cells)


def _is_compact(text: str) -> bool:
    moment = parse_moment(text) if len(text) == COMPACT_DIGITS else None
    return moment is not None and FIRST_YEAR <= moment.year <= LAST_YEAR


def parse_moment(raw: object, order: str = "") -> datetime | None:
    """Returns a time; None for anything else."""
    try:
        return parse_time(raw, order)
    except (ValueError, TypeError, OverflowError):
        return None


def read_time(cells: Mapping[str, Any], columns: Sequence[str], order: str = "") -> datetime:
    """Returns the time of a row of a table, as `parse_time` does.

    Args:
        cells: The row.
        columns: The column of times, or those of year, month, day and so on.
        order: How dates with slashes are written.

    Raises:
        ValueError: They hold no time; the message names the columns and the cells.
    """
    values = [cells.get(name) for name in columns]
    try:
        return parse_time(values[0], order) if len(values) == 1 else datetime(*map(int, values))  # type: ignore[arg-type]  # noqa: DTZ001
    except (ValueError, TypeError, OverflowError):
        text = " ".join("" if value is None else str(value) for value in values)[:40]
        raise ValueError(f"column {', '.join(columns)} is no time: {text!r}") from None


def _parse_text(text: str, order: str) -> datetime:
    match = _SLASHED.fullmatch(text) if order else None
    if match:
        return _parse_slashed(match, order)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(dates.iso(text) or text)


def _parse_slashed(match: re.Match[str], order: str) -> datetime:
    first, second, year, hour, minute, seconds = (int(part or 0) for part in match.groups()[:6])
    month, day = (first, second) if order == MONTH_FIRST else (second, first)
    if len(match[3]) == 2:  # noqa: PLR2004
        year += 1900 if year >= _THIS_CENTURY else 2000
    if match[7]:
        if not 1 <= hour <= 12:  # noqa: PLR2004
            raise ValueError(match[0])
        hour = hour % 12 + 12 * (match[7].lower() == "pm")
    return datetime(year, month, day, hour, minute, seconds)  # noqa: DTZ001  (a table's times are in one zone)
