"""Times in forms that are not read: names of months, quarters, weeks, numbers of days or seconds.

They are told from other columns by their cells; where these may be something else, by the column's name, too.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import TYPE_CHECKING

from pipeline.features import dates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHARE = 0.95  # of the cells that must be of one form
LAST_MONTH, LAST_DAY = 12, 31
MIN_VALUES = 10  # different numbers of seconds that are times without a name that says so
# What a column of dates is called in English, German, French, Spanish, Portuguese, Italian and Dutch.
_DAYS = (
    r"dates?|date_?times?|time_?stamps?|dat[uo]m|fecha|tag|day|monat|month|mois|mes|mese|maand"
    r"|quarter|quartal|week|woche"
)
_CLOCKS = r"time|zeit(punkt)?|hora|heure|uhrzeit|ts|epoch|when|period|created|updated|modified|at|on"
_PART = r"(^|[_\W\d]|(?<=[a-z])(?=[A-Z]))({})(?=$|[_\W\d]|(?<=[a-z])[A-Z])"
DAY_NAME = re.compile(_PART.format(_DAYS), re.ASCII)
TIME_NAME = re.compile(_PART.format(f"{_DAYS}|{_CLOCKS}"), re.ASCII)

# Without accents, and without the endings that are the same in several languages.
MONTHS = (
    "jan januar january janner januari janvier janv enero ene gennaio gen janeiro",
    "feb februar february februari fevrier fev fevr febrero febbraio fevereiro",
    "mar march marz mrz maart mrt mars marzo marco",
    "apr april avril avr abril abr aprile",
    "may mai mayo maggio mag mei maio",
    "jun june juni juin junio giugno giu junho",
    "jul july juli juillet juil julio luglio lug julho",
    "aug august aout agosto ago augustus",
    "sep sept september septembre septiembre settembre set setembro",
    "oct october okt oktober octobre octubre ottobre ott outubro out",
    "nov november novembre noviembre novembro",
    "dec december dez dezember decembre diciembre dic dicembre dezembro",
)
MONTH_WORDS = {word: place for place, words in enumerate(MONTHS) for word in words.split()}
# What may stand next to the name of a month: days of the week, endings of numbers, zones.
OTHER_WORDS = re.compile(
    "mon(day)?|tue(s|sday)?|wed(nesday)?|thu(r|rs|rsday)?|fri(day)?|sat(urday)?|sun(day)?"
    "|mo(ntag)?|di(enstag)?|mi(ttwoch)?|do(nnerstag)?|fr(eitag)?|sa(mstag)?|so(nntag)?"
    "|st|nd|rd|th|de|del|den|of|at|um|uhr|t|z|utc|gmt|am|pm|cet|cest|est|edt|pst|pdt|bst"
)
YEAR = re.compile(r"(?<!\d)(1[89]|20|21)\d\d(?!\d)", re.ASCII)
_CLOCK = r"([T ]+\d{1,2}:\d{2}(:\d{2})?.*)?"
PERIODS = re.compile(
    r"\d{4}[-/ ]?([QTHS][1-4]|[1-4][QT])|[QTHS][1-4][-/ ']{0,2}(\d{4}|\d{2})|[1-4][QT][-/ ']{0,2}(\d{4}|\d{2})"
    r"|[1-4]\. ?QUARTAL,? \d{4}|\d{4}[-/ ]?(W|KW|CW|M)[- ]?\d{1,2}(-\d)?|(W|KW|CW|WEEK) ?\d{1,2}[-/, ]+\d{4}"
    r"|\d{4}\s?[年년]\s?\d{1,2}\s?[月월](\s?\d{1,2}\s?[日일])?",
    re.ASCII,
)
YEAR_FIRST = re.compile(r"(\d{4})([./ -])(\d{1,2})\2(\d{1,2})" + _CLOCK, re.ASCII)
YEAR_LAST = re.compile(r"(\d{1,2})([./ -])(\d{1,2})\2(\d{4})" + _CLOCK, re.ASCII)
SHORT = re.compile(r"(\d{1,2})([./ -])(\d{1,2})\2(\d{2})" + _CLOCK, re.ASCII)
MONTH_OF_YEAR = re.compile(r"(0?[1-9]|1[0-2])[./-](18|19|20|21)\d\d|(18|19|20|21)\d\d[./](0?[1-9]|1[0-2])", re.ASCII)
COMPACT = re.compile(r"(18|19|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([T_ -]?\d{4,6}\D*)?", re.ASCII)
COMPACT_MONTH = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])", re.ASCII)
NUMBER = re.compile(r"-?\d+(\.\d*)?(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[ap]\.?m\.?)?", re.ASCII | re.IGNORECASE)
PARTS = {  # what a column of each part is called, and its numbers
    "year": (re.compile("(.*_)?(years?|yr|yyyy|jahr|ann[eo]e?|a\u00f1o|ano|jaar)"), 1800, 2200),
    "month": (re.compile("(.*_)?(months?|mon|mm|mnth|monat|mois|mese?s?|maand)"), 1, 12),
    "day": (re.compile("(.*_)?(days?|dd|mday|dom|tag|jour|d[i\u00ed]a|giorno|dag|day_?of_?month)"), 1, 31),
    "hour": (re.compile("(.*_)?(hours?|hrs?|hh|stunde|heure|hora|ora|uur|hour_?of_?day)"), 0, 24),
}
EPOCHS = {"seconds": 1, "milliseconds": 10**3, "us": 10**6, "ns": 10**9}
FIRST_SECOND, LAST_SECOND = 5e8, 2.5e9  # 1985 to 2049
FIRST_SERIAL, LAST_SERIAL = 20_000, 80_000  # days as Excel counts them, 1954 to 2119


def find_part(name: str, values: Sequence[str]) -> str:
    """Returns which part of a time a column tells beside others: "year", "month", "day", "hour" or "clock"; or nothing.

    Args:
        name: The column's name.
        values: Different cells that are not missing, as text; none where there are too many.
    """
    cells = [value.strip() for value in values]
    if not cells:
        return ""
    if all(map(CLOCK.fullmatch, cells)):
        return "clock"
    for part, (called, first, last) in PARTS.items():
        whole = called.fullmatch(name.strip().lower()) and all(map(str.isdecimal, cells))
        if whole and all(first <= int(cell) <= last for cell in cells):
            return part
    return ""


def describe_parts(parts: Mapping[str, str], dated: Sequence[str]) -> list[str]:
    """Says that several columns tell one time, and what can be done; nothing where one column tells it.

    Args:
        parts: Names of columns, for messages, with the part of a time that each tells.
        dated: Names of columns of dates.
    """
    by_part = {part: name for name, part in parts.items()}
    clock = [by_part[part] for part in ("hour", "clock") if part in by_part][:1]
    if len(dated) == 1 and clock:
        names = [*dated, *clock]
    elif {"year", "month"} <= by_part.keys():
        names = [by_part[part] for part in ("year", "month", "day") if part in by_part] + clock
    else:
        return []
    words = f"{', '.join(names[:-1])} and {names[-1]} tell one time: the rows are split by hash, not by it"
    return [f"{words}; in one column, such as 2024-01-31 17:00, they may be a series, or split by time."]


def describe_form(name: str, values: Sequence[str]) -> str:
    """Returns what the times of a column look like, and in brackets what they count; empty if they are none.

    Args:
        name: The column's name.
        values: Different cells that are not missing, as text; not all of them are dates that are read.
    """
    cells = [value.strip() for value in values]
    if len(cells) < 2:  # noqa: PLR2004  (one value says nothing)
        return ""
    if all(map(NUMBER.fullmatch, cells)):
        return _describe_numbers(name, cells)
    unread = next((cell for cell in cells if dates.iso(cell) is None), "")
    return repr(unread) if unread and _are_times(name, cells) else ""


def _are_times(name: str, cells: Sequence[str]) -> bool:
    tests: list[Callable[[str], object]] = [PERIODS.fullmatch, COMPACT.fullmatch, _is_long]
    tests += [_names_month] if _are_of_months(cells) else []
    tests += [_is_short, MONTH_OF_YEAR.fullmatch] if _is_called(TIME_NAME, name) else []
    tests += [_has_year] if _is_called(DAY_NAME, name) else []
    return _most(cells, lambda cell: any(test(cell) for test in tests))


def _is_called(pattern: re.Pattern[str], name: str) -> bool:
    """Whether a name is of this kind: order_date, orderDate, ORDER DATE."""
    return bool(pattern.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def _most(cells: Sequence[str], holds: Callable[[str], object]) -> bool:
    return sum(bool(holds(cell)) for cell in cells) >= SHARE * len(cells)


def _are_of_months(cells: Sequence[str]) -> bool:
    """Whether cells with the name of a month mean one: they differ, or have a year. Set 1 and Set 2 do not."""
    named = [cell for cell in cells if _names_month(cell)]
    return len({_find_month(cell) for cell in named}) > 1 or all(map(YEAR.search, named))


def _names_month(cell: str) -> bool:
    return _find_month(cell) >= 0


def _find_month(cell: str) -> int:
    """The month that a cell names next to a number, from 0; -1 where it names none, or something else, too."""
    plain = "".join(mark for mark in unicodedata.normalize("NFKD", cell.lower()) if not unicodedata.combining(mark))
    words = re.findall(r"[^\W\d_]+", plain)
    named = [MONTH_WORDS[word] for word in words if word in MONTH_WORDS]
    known = all(word in MONTH_WORDS or OTHER_WORDS.fullmatch(word) for word in words)
    return named[0] if len(named) == 1 and known and re.search(r"\d", plain, re.ASCII) else -1


def _is_long(cell: str) -> bool:
    """Whether it is a date with all digits of the year: 2020.01.31, 31-01-2020."""
    return _is_date(YEAR_FIRST.fullmatch(cell), 1, 3, 4) or _is_date(YEAR_LAST.fullmatch(cell), 4, 1, 3)


def _is_short(cell: str) -> bool:
    return _is_date(SHORT.fullmatch(cell), 4, 1, 3)


def _has_year(cell: str) -> bool:
    """Whether it holds a year and more: whatever else a column called date may hold."""
    return bool(YEAR.search(cell)) and len(re.findall(r"\d", cell)) > 4  # noqa: PLR2004


def _is_date(match: re.Match[str] | None, year: int, *others: int) -> bool:
    """Whether the numbers of a match can be year, month and day, the last two in either order."""
    if not match:
        return False
    first, second = sorted(int(match[place]) for place in others)
    in_calendar = 1 <= first <= LAST_MONTH and 1 <= second <= LAST_DAY
    return in_calendar and (len(match[year]) == 2 or bool(YEAR.fullmatch(match[year])))  # noqa: PLR2004


def _describe_numbers(name: str, cells: Sequence[str]) -> str:
    """Returns the first number and what it counts; empty for other numbers."""
    unit = _find_unit(name, [float(cell) for cell in cells])
    if unit:
        return f"{cells[0]} ({unit} since 1970)"
    if _are_compact_dates(cells):
        return f"{cells[0]} (a date without hyphens)"
    if not _is_called(DAY_NAME, name):
        return ""
    if _most(cells, lambda cell: FIRST_SERIAL <= float(cell) <= LAST_SERIAL):
        return f"{cells[0]} (days as Excel counts them)"
    months = _most(cells, lambda cell: COMPACT_MONTH.fullmatch(cell) or MONTH_OF_YEAR.fullmatch(cell))
    return f"{cells[0]} (a year and a month)" if months else ""


def _find_unit(name: str, numbers: Sequence[float]) -> str:
    """The unit in which numbers count from 1970; without a name that says so, they are whole minutes apart."""
    for unit, size in EPOCHS.items():
        if all(FIRST_SECOND <= number / size <= LAST_SECOND for number in numbers):
            even = len({number % (60 * size) for number in numbers}) == 1 and len(numbers) >= MIN_VALUES
            return unit if even or _is_called(TIME_NAME, name) else ""
    return ""


def _are_compact_dates(cells: Sequence[str]) -> bool:
    """Whether whole numbers are dates such as 20240131, all in the calendar."""
    try:
        days = [date.fromisoformat(cell) for cell in cells if COMPACT.fullmatch(cell)]
    except ValueError:
        return False
    return len(days) == len(cells) >= MIN_VALUES
