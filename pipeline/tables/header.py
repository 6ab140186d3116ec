"""The header of a table: its line, below a title or nowhere, and the names of the columns."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.tables.number_forms import (
    MISSING_TEXTS,
    NUMBER_SHARE,
    is_number,
    is_numeric,
    number_share,
    parse_number,
    transpose_cells,
)

if TYPE_CHECKING:
    from collections.abc import Collection

HEADER_LINES = 100  # lines in which a header is looked for
# Of a column that names the rows, beside which R writes no other names.
ID_TITLE = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|nr|no|name|row|rank)s?$|[a-z]I[dD]$", re.ASCII | re.IGNORECASE)
USUAL_SHARE = 0.5  # of the rows that must be as wide as the header
MIN_ROWS = 5

Rows = list[tuple[int, list[str]]]


def find_header(rows: Rows, names: Collection[str] = ()) -> int:
    """Returns the line of the header; 0 if there is none.

    Args:
        rows: Line and cells of the first rows that are not empty.
        names: Columns that the file has, as far as they are known.
    """
    if not rows:
        return 1
    by_name = [line for line, cells in rows[:HEADER_LINES] if set(names) <= set(make_header(cells, []))]
    if names and by_name:
        return by_name[0]
    place = _first_full_row(rows)
    below = [cells for _, cells in rows[place + 1 :]]
    return 0 if is_data(rows[place][1], below) else rows[place][0]


def _first_full_row(rows: Rows) -> int:
    """The place of the first row that is no title: a title is narrower than the table, or fills one cell only."""
    width, share = usual_width([cells for _, cells in rows])
    if width < 2 or share < USUAL_SHARE:  # noqa: PLR2004
        return 0
    for place, (_, cells) in enumerate(rows[:HEADER_LINES]):
        below = [row for _, row in rows[place + 1 :]]
        names = has_row_names(cells, below) or ends_empty(cells, below)
        title = not any(cells[1:]) or (len(cells) < width and not names)
        if not title or len(below) < MIN_ROWS:
            return place
    return 0


def has_named_numbers(rows: Rows) -> bool:
    """Whether in the first row that is no title a text stands above a column of numbers."""
    place = _first_full_row(rows) if rows else 0
    return bool(rows) and _names_numbers(rows[place][1], [cells for _, cells in rows[place + 1 :]])


def has_row_names(header: list[str], below: list[list[str]]) -> bool:
    """Whether the rows have one cell more than the header, as R writes them: their number or name."""
    width, share = usual_width(below)
    if (
        len(below) < MIN_ROWS
        or ends_empty(header, below)
        or not all(header)
        or width != len(header) + 1
        or share < NUMBER_SHARE
    ):
        return False
    return len(below[0]) == width and not _names_numbers(below[0], below[1:]) and _are_row_names(header[0], below)


def _are_row_names(title: str, below: list[list[str]]) -> bool:
    """Whether the first cells number the rows from 1, or are texts that differ, in front of numbers.

    A text with a comma that is not quoted, or a name that the header lacks, makes rows wider as well. Then the first
    cells are the first column's: names under a title that says so, or whatever comes again.
    """
    first = [row[0] for row in below]
    if len(set(first)) < len(first) or ID_TITLE.search(title):
        return False
    if all(cell.isascii() and cell.isdecimal() for cell in first):
        numbers = list(map(int, first))
        rising = numbers[0] == 1 and all(earlier < later for earlier, later in itertools.pairwise(numbers))
        return rising and NUMBER_SHARE * numbers[-1] <= len(numbers)  # a few rows may be lost
    return not any(map(is_number, first)) and number_share([row[1:] for row in below]) > USUAL_SHARE


def ends_empty(header: list[str], below: list[list[str]]) -> bool:
    """Whether most rows are wider than the header, and whatever is wider ends with empty cells: a last delimiter."""
    wide = [row[len(header) :] for row in below if len(row) > len(header)]
    return len(wide) > USUAL_SHARE * len(below) and not any(map(any, wide))


def _names_numbers(cells: list[str], below: list[list[str]]) -> bool:
    """Whether a text stands above a column of numbers: then it is a header."""
    columns = transpose_cells(below)
    pairs = zip(cells, columns, strict=False)
    return any(cell not in MISSING_TEXTS and not is_number(cell) and is_numeric(column) for cell, column in pairs)


def is_data(cells: list[str], below: list[list[str]]) -> bool:
    """Whether a first row is one of data: numbers above numbers, and texts that come again in their columns.

    Years, and numbers in equal steps such as 0, 1, 2, are names of columns. A row with the same cells is that header
    again, as in files that were put together.
    """
    if not any(map(is_number, cells)):
        below = [row for row in below if sorted(row) != sorted(cells)]
    if len(cells) < 2 or len(below) < MIN_ROWS or not cells[0] or _names_numbers(cells, below):  # noqa: PLR2004
        return False
    columns = transpose_cells(below)
    numbers = [cell for cell in cells if is_number(cell)]
    if numbers:
        pairs = list(zip(cells, columns, strict=False))
        over = all(is_numeric(column) for cell, column in pairs if is_number(cell))
        texts = [cell in column for cell, column in pairs if cell not in MISSING_TEXTS and not is_number(cell)]
        return over and not _are_names(numbers) and (not texts or any(texts))
    there = [cell not in MISSING_TEXTS for cell in cells]
    again = all(cell in column for cell, column, known in zip(cells, columns, there, strict=False) if known)
    return again and len(columns) >= len(cells) and sum(there) > 1


def _are_names(texts: list[str]) -> bool:
    values = [parse_number(text) for text in texts]
    if all(value.is_integer() and 1500 <= value <= 2200 for value in values):  # noqa: PLR2004  (years)
        return True
    steps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(values)]
    return len(steps) > 1 and len(set(steps)) == 1 and steps[0] > 0


def make_header(cells: list[str], below: list[list[str]]) -> list[str]:
    """Returns the names of the columns: a name that comes again gets a number, row names none.

    Args:
        cells: The header; empty if there is none.
        below: The first rows.
    """
    if not cells:
        return [f"column_{place + 1}" for place in range(usual_width(below)[0])]
    names = ["", *cells] if has_row_names(cells, below) else list(cells)
    used = set(names)
    unique: dict[str, None] = {}
    for name in names:
        free, number = name, 2
        while free in unique or (free != name and free in used):
            free, number = f"{name}_{number}", number + 1
        unique[free] = None
    return list(unique)


def is_second_header(cells: list[str], below: list[list[str]]) -> bool:
    """Returns whether a first row has words above all of several columns of numbers: further names, or units."""
    numeric = [place for place, column in enumerate(transpose_cells(below)) if is_numeric(column)]
    words = [
        place < len(cells) and cells[place] not in MISSING_TEXTS and not is_number(cells[place]) for place in numeric
    ]
    return len(below) >= MIN_ROWS and len(words) > 1 and all(words)


def usual_width(rows: list[list[str]]) -> tuple[int, float]:
    """The most frequent number of cells, and the share of the rows that have it."""
    ((width, count),) = Counter(map(len, rows)).most_common(1) or [(0, 0)]
    return width, count / max(len(rows), 1)
