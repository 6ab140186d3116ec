"""Dates as text: parsed in Python by the step `ingest`, and in the graph as inputs of a network.

Supported are YYYY-MM-DD, YYYY/MM/DD, DD.MM.YYYY and YYYY-MM (its first day), with one or two digits for day and month;
after the day a blank or a T and the time HH:MM or HH:MM:SS with any fraction; a zone may follow (Z, UTC, +01:00, -0530,
+02), and the time is then read in UTC.
03/04/2024 is not supported: it may be in March or in April.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import Any

_TIME = r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:Z| ?UTC|([-+])(\d{2}):?(\d{2})?)?)?"
# The same text for Python's re and for the RE2 of TensorFlow: year, month, day, hour, minute, second, and what the zone
# is ahead of UTC: sign, hours, minutes. RE2 knows nine groups in what it puts instead.
YEAR_FIRST = r"\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})" + _TIME + r"\s*"
DAY_FIRST = r"\s*(\d{1,2})\.(\d{1,2})\.(\d{4})" + _TIME + r"\s*"
MONTH = r"\s*(\d{4})-(\d{1,2})\s*"
SEPARATORS = r"\s*\d{4}(-\d{1,2}-|/\d{1,2}/).*"  # excludes 2024-01/02

EPOCH_ORDINAL = 719_163  # 1 January 1970 as Python counts days
EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday, Monday is 0
SECONDS = 86_400
MONTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month; index 0 is unused
FEBRUARY = 2
MOST_HOURS = 23  # that a zone is ahead of UTC
LAST_YEAR = 9999


def iso(text: str) -> str | None:
    """Returns a date as text that sorts by time, "2024-02-29T00:00:00"; None if it is no date.

    Fractions of a second are dropped.
    """
    text = re.sub(rf"^{MONTH}$", r"\1-\2-01", text, flags=re.ASCII)
    first = re.fullmatch(YEAR_FIRST, text, re.ASCII) if re.fullmatch(SEPARATORS, text, re.DOTALL) else None
    match = first or re.fullmatch(DAY_FIRST, text, re.ASCII)
    if not match:
        return None
    left, month, right, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    sign, *ahead = match.groups("0")[6:]
    year, day = (left, right) if first else (right, left)
    hours, minutes = map(int, ahead)
    if hours > MOST_HOURS or minutes >= 60:  # noqa: PLR2004
        return None
    try:
        local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  (its zone is `ahead`)
        return (local - (-1 if sign == "-" else 1) * timedelta(hours=hours, minutes=minutes)).isoformat()
    except (ValueError, OverflowError):
        return None


def parts(text: Any, name: str, span: tuple[str, str] | None = None) -> dict[str, Any]:
    """Converts dates to inputs of a network, in the graph.

    Args:
        text: String tensor (batch,).
        name: Prefix of the names of the features.
        span: First and last date, "2000-01-01"; one beyond, such as 9999-12-31 for none, counts as missing.

    Returns:
        Eight float32 tensors (batch,): `NAME_days` since 1 January 1970 with the time as a fraction; sine and cosine of
        the periodic parts month (`NAME_month_sin`, `NAME_month_cos`), weekday and hour of the day; and `NAME_known`, 1
        for a date. If a date is missing or cannot be parsed, all but `NAME_known` are NaN.
    """
    import tensorflow as tf

    year, month, day, hour, minute, second, known = _fields(text)
    days = _epoch_days(year, month, day)
    if span:
        first, last = (date.fromisoformat(end).toordinal() - EPOCH_ORDINAL for end in span)
        known &= (first <= days) & (days <= last)
    fraction = tf.cast(hour * 3600 + minute * 60 + second, tf.float64) / SECONDS
    turns = {
        "month": tf.cast(month - 1, tf.float64) / 12,
        "weekday": tf.cast((days + EPOCH_WEEKDAY) % 7, tf.float64) / 7,
        "hour": fraction,
    }
    values = {"days": tf.cast(days, tf.float64) + fraction}
    for part, turn in turns.items():
        values |= {f"{part}_sin": tf.sin(2 * math.pi * turn), f"{part}_cos": tf.cos(2 * math.pi * turn)}
    return {
        **{f"{name}_{key}": tf.where(known, tf.cast(x, tf.float32), float("nan")) for key, x in values.items()},
        f"{name}_known": tf.cast(known, tf.float32),
    }


def _fields(text: Any) -> list[Any]:
    """Returns year, month, day, hour, minute, second in UTC as int64 (batch,), of 1970 without a date; and whether."""
    import tensorflow as tf

    text = tf.strings.regex_replace(text, f"^{MONTH}$", r"\1-\2-01")
    first = tf.strings.regex_full_match(text, YEAR_FIRST) & tf.strings.regex_full_match(text, SEPARATORS)
    last = tf.strings.regex_full_match(text, DAY_FIRST)
    # One form for all, "year month day hour minute second hours minutes"; a missing part becomes a 0.
    form = tf.where(first, tf.strings.regex_replace(text, YEAR_FIRST, _rewrite(1, 2, 3)), "01970 01 01 00 00 00 00 00")
    form = tf.where(last, tf.strings.regex_replace(text, DAY_FIRST, _rewrite(3, 2, 1)), form)
    form = tf.strings.regex_replace(form, r"\+", "")
    numbers = tf.strings.to_number(tf.strings.split(form, " ").to_tensor(shape=[None, 8]), tf.int64)
    *local, hours, minutes = tf.unstack(numbers, axis=1)
    known = (first | last) & _exists(*local) & (abs(hours) <= MOST_HOURS) & (abs(minutes) < 60)  # noqa: PLR2004
    numbers = tf.where(known[:, None], numbers, tf.constant([[1970, 1, 1, 0, 0, 0, 0, 0]], tf.int64))
    parts = _to_utc(*tf.unstack(numbers, axis=1))
    return [*parts, known & (parts[0] >= 1) & (parts[0] <= LAST_YEAR)]


def _to_utc(
    year: Any, month: Any, day: Any, hour: Any, minute: Any, second: Any, hours: Any, minutes: Any
) -> list[Any]:
    """The same time in UTC, from that of a zone so many hours and minutes ahead."""
    seconds = _epoch_days(year, month, day) * SECONDS + (hour - hours) * 3600 + (minute - minutes) * 60 + second
    of_day = seconds % SECONDS
    return [*calendar_date(seconds // SECONDS), of_day // 3600, of_day // 60 % 60, of_day % 60]


def _rewrite(*date: int) -> str:
    return " ".join([*(f"0\\{group}" for group in (*date, 4, 5, 6)), r"\70\8", r"\70\9"])


def _exists(year: Any, month: Any, day: Any, hour: Any, minute: Any, second: Any) -> Any:
    """Returns whether such a time exists: 29 February in leap years only."""
    import tensorflow as tf

    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    lengths = tf.constant(MONTHS, tf.int64)
    length = tf.gather(lengths, tf.where(month < len(MONTHS), month, 0)) + tf.cast(leap & (month == FEBRUARY), tf.int64)
    below = tf.reduce_all(tf.stack([hour, minute, second], axis=1) < tf.constant([24, 60, 60], tf.int64), axis=1)
    return (year >= 1) & (day >= 1) & (day <= length) & below


def _epoch_days(year: Any, month: Any, day: Any) -> Any:
    """Returns the days since 1 January 1970 in the Gregorian calendar.

    Source: E. Richards, Mapping Time, 1998, algorithm E: the year begins in March, so that the leap day is its last.
    """
    shift = (14 - month) // 12
    years, months = year + 4800 - shift, month + 12 * shift - 3
    julian = day + (153 * months + 2) // 5 + 365 * years + years // 4 - years // 100 + years // 400 - 32_045
    return julian - 2_440_588


def epoch_seconds(text: Any) -> tuple[Any, Any]:
    """Returns the seconds since 1 January 1970 of texts (batch,) as int64 (batch,), and whether each is a date."""
    year, month, day, hour, minute, second, known = _fields(text)
    return _epoch_days(year, month, day) * SECONDS + hour * 3600 + minute * 60 + second, known


def calendar_date(days: Any) -> tuple[Any, Any, Any]:
    """Returns year, month and day of days since 1 January 1970, int64 of any shape.

    Source: E. Richards, Mapping Time, 1998, algorithm F, for the Gregorian calendar.
    """
    julian = days + 2_440_588
    shifted = julian + 1401 + (((4 * julian + 274_277) // 146_097) * 3) // 4 - 38
    rest = 4 * shifted + 3
    of_year = 5 * (rest % 1461 // 4) + 2
    month = (of_year // 153 + 2) % 12 + 1
    return rest // 1461 - 4716 + (14 - month) // 12, month, of_year % 153 // 5 + 1


def add_months(days: Any, count: Any) -> Any:
    """Returns the days so many months later, int64 of any shape; the 31st becomes the last day of a shorter month."""
    import tensorflow as tf

    year, month, day = calendar_date(days)
    months = 12 * year + month - 1 + count
    first, after = (_epoch_days(n // 12, n % 12 + 1, tf.ones_like(n)) for n in (months, months + 1))
    return first + tf.minimum(day, after - first) - 1


def to_text(seconds: Any) -> Any:
    """Returns the ISO text of seconds since 1 January 1970, "2024-02-29T00:00:00"; int64 of any shape."""
    import tensorflow as tf

    year, month, day = calendar_date(seconds // SECONDS)
    of_day = seconds % SECONDS
    numbers = [(year, 4), (month, 2), (day, 2), (of_day // 3600, 2), (of_day // 60 % 60, 2), (of_day % 60, 2)]
    digits = [tf.strings.as_string(number, width=width, fill="0") for number, width in numbers]
    return tf.strings.join(
        [*(part for pair in zip(digits, ("-", "-", "T", ":", ":"), strict=False) for part in pair), digits[-1]]
    )
