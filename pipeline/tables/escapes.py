r"""Quotes within a quoted cell that a backslash precedes, "so \"called\" names", as MySQL and Spark write them.

RFC 4180 doubles a quote instead, and there a backslash is a character like any other: "C:\data\" is a whole cell. So
the file has to show which it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ESCAPED = re.compile(r'\\(["\\])')


def has_escapes(lines: Iterable[str], delimiter: str) -> bool:
    r"""Returns whether a cell goes on behind \" with what no doubled quote and no end of a cell can be."""
    mark = re.escape(delimiter)
    goes_on = re.compile(rf'(?:^|{mark})\s*"[^"]*\\"\s*(?!["\s]|{mark}|$)')
    return any('\\"' in line and goes_on.search(line) for line in lines)


def double_quotes(lines: Iterable[str]) -> Iterator[str]:
    r"""Yields lines with \" as "" and \\ as \; other backslashes, such as in \N, stay."""
    for line in lines:
        yield ESCAPED.sub(lambda found: '""' if found[1] == '"' else found[1], line) if "\\" in line else line
