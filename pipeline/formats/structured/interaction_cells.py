"""The cells of a table of interactions: ids, ratings, times and titles."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from pipeline.features.ids import normalize_id
from pipeline.formats import table
from pipeline.tables.calendar import parse_time
from pipeline.tables.dialect import broken_words, is_broken

MOST_BYTES = 200  # of an id
TITLE_BYTES = 160
SHOWN = 40  # characters of a cell in a message
MOST_SECONDS = 1e11  # in the year 5138; larger numbers are thousandths of seconds, or smaller
FEWEST_SECONDS = -6e10  # in the year 68
DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)  # 20240131


def read_id(name: str, raw: Any, encoding: str = "") -> bytes:
    """Returns an id as text: "007" is not 7, but 7.0 is; see `pipeline.features.ids.normalize_id`.

    Args:
        name: Column.
        raw: Cell: text, or a number of a Parquet or JSON file.
        encoding: That is named for the file; empty if none is.

    Raises:
        ValueError: It is missing, or cannot be an id; the message says why.
    """
    if table.is_missing(raw):
        raise ValueError(f"column {name} is empty")
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)  # whole numbers in a column where some are missing
    if isinstance(raw, str) and is_broken(raw):
        raise ValueError(f"column {name} is {broken_words(raw, encoding)}")
    try:
        content = normalize_id(table.to_text(raw))
        content.decode()  # a Parquet file may have any bytes
    except (TypeError, UnicodeError):
        raise ValueError(f"column {name} is no id: {_show(raw)}") from None
    if not content:
        raise ValueError(f"column {name} is empty")
    if len(content) > MOST_BYTES:
        raise ValueError(f"column {name} has {len(content):,} bytes, expected at most {MOST_BYTES}")
    if _has_controls(content):  # a vocabulary has one id a line
        raise ValueError(f"column {name} has a line break or another control character: {_show(raw)}")
    return content


def read_rating(name: str, raw: Any) -> float:
    """Returns a rating; NaN where there is none.

    Raises:
        ValueError: It is no number.
    """
    if table.is_missing(raw) or table.is_no_number(raw):
        return math.nan
    number = _to_number(raw)
    if number is None:
        raise ValueError(f"column {name} is no number: {_show(raw)}")
    return number


def read_seconds(name: str, raw: Any, order: str = "") -> int:
    """Returns the seconds since 1970 in UTC.

    Args:
        name: Column.
        raw: Cell: seconds, or thousandths, millionths and so on of seconds, since 1970; or a date or time.
        order: How dates with slashes are written.

    Raises:
        ValueError: It is no time.
    """
    number = _to_number(raw)
    try:
        if number is None or DATE.fullmatch(str(raw).strip()):
            number = parse_time(raw, order).replace(tzinfo=UTC).timestamp()
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"column {name} is no time: {_show(raw)}") from None
    while number >= MOST_SECONDS:
        number /= 1000
    if number < FEWEST_SECONDS:
        raise ValueError(f"column {name} is no time since 1970: {_show(raw)}")
    return math.floor(number)


def read_title(raw: Any) -> bytes:
    """Returns a title on one line, cut to whole characters; empty where there is none that can be read."""
    if table.is_missing(raw) or isinstance(raw, datetime):
        return b""
    try:
        line = " ".join(table.to_text(raw).decode(errors="ignore").replace("\0", "").split())
    except (TypeError, UnicodeError):
        return b""
    return line.encode()[:TITLE_BYTES].decode(errors="ignore").encode()


def _to_number(raw: Any) -> float | None:
    """Returns a finite number, or None."""
    try:
        number = table.CONSTRUCTORS["float"](raw)
    except table.FAILURES:
        return None
    return number if isinstance(number, float) and not isinstance(raw, bool) and math.isfinite(number) else None


def _has_controls(content: bytes) -> bool:
    text = content.decode()
    return not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text)


def _show(raw: Any) -> str:
    return repr(raw)[:SHOWN]
