"""Dates that stand for none, such as 9999-12-31 of a contract without an end or 1900-01-01 of an unknown birthday.

One of them flattens all other dates. They are found by their distance from the others, and are unknown to a network.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pipeline.features import dates

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_DATES = 10  # others, from which one is far
NEAR = timedelta(days=3653)  # ten years: a date may be so far from the others
ROOM = timedelta(days=18_262)  # fifty years, in which new dates are taken as they are
KINDS = 3  # of dates that stand for none, in one column
FIRST_YEAR, LAST_YEAR = 1500, 2200  # of the Gregorian calendar, in which a year beyond is another calendar's, or wrong


@dataclass(frozen=True)
class DateSpan:
    """The dates of a column, and those that are none.

    Attributes:
        first: Days before it are unknown.
        last: Days after it are unknown.
        marks: Dates beyond, with the rows that have them.
        year: A year in the middle of the others.
    """

    first: date = date.min
    last: date = date.max
    marks: dict[date, int] = field(default_factory=dict)
    year: int = 0

    def describe(self, name: str) -> list[str]:
        """Returns what is said of a column, a sentence each."""
        such = " and ".join(f"{mark} in {count} row{'s' * (count > 1)}" for mark, count in self.marks.items())
        kept = f"dates before {self.first} or after {self.last} count as missing: change SPANS at will"
        notes = [f"{name}: {such} {'is' if len(self.marks) == 1 else 'are'} far from all others; {kept}."] * bool(such)
        odd = self.year and not FIRST_YEAR <= self.year <= LAST_YEAR
        words = f"{name} has years such as {self.year} and is read in the Gregorian calendar: convert dates of another"
        return [*notes, *[f"{words} one, whose months and weekdays differ."] * bool(odd)]

    def drop_marks(self, cells: Iterable[bytes]) -> list[bytes]:
        """Returns the cells that are no mark."""
        return [cell for cell in cells if _parse_day(cell) not in self.marks]


def find_span(cells: Iterable[bytes]) -> DateSpan:
    """Returns the span of a column of dates, with marks where some are far from all others.

    Args:
        cells: Dates as `pipeline.features.dates` reads them; others are passed over.
    """
    days = Counter(day for cell in cells if (day := _parse_day(cell)))
    marks: dict[date, int] = {}
    span = DateSpan(year=_middle_year(days))
    while len(marks) < KINDS and (mark := _find_mark(days)):
        marks[mark] = days.pop(mark)
        first, last = min(days), max(days)
        span = DateSpan(*_extend(first, last, marks), dict(marks), _middle_year(days))
    return span


def _parse_day(cell: bytes) -> date | None:
    text = dates.iso(cell.decode(errors="replace"))
    return date.fromisoformat(text[:10]) if text else None


def _find_mark(days: Counter[date]) -> date | None:
    """Returns the last or the first date if it is farther from all others than these are from each other."""
    ordered = sorted(days)
    if len(ordered) < MIN_DATES:
        return None
    spread, below, above = ordered[-2] - ordered[0], ordered[-1] - ordered[-2], ordered[1] - ordered[0]
    if below > max(NEAR, spread):
        return ordered[-1]
    return ordered[0] if above > max(NEAR, ordered[-1] - ordered[1]) else None


def _extend(first: date, last: date, marks: Iterable[date]) -> tuple[date, date]:
    """Returns the span of the other dates, and on the side of a mark half of the way to it, or fifty years of it."""
    early, late = [mark for mark in marks if mark < first], [mark for mark in marks if mark > last]
    low = first - min((first - max(early)) / 2, ROOM) if early else date.min
    return low, last + min((min(late) - last) / 2, ROOM) if late else date.max


def _middle_year(days: Counter[date]) -> int:
    years = sorted(day.year for day in days.elements())
    return years[len(years) // 2] if years else 0
