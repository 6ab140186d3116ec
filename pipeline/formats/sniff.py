"""Finds how a file of separated values is written, where it does not say so itself.

Only what is safe is found: a header below a title, a first row that is data, decimal commas that cannot be anything
else. What may be read in two ways is an error that names the option.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.formats import dialect as dialects
from pipeline.formats.dialect import BLANKS, Dialect, parse_lines

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

DELIMITERS = (",", "\t", ";", "|")
SAMPLE_LINES = 1000
SAMPLE_CHARACTERS = 1 << 20
HEADER_LINES = 100  # lines in which a header is looked for
USUAL_SHARE = 0.5  # of the rows that must be as wide as the header
BLANKS_SHARE = 0.95
NUMBER_SHARE = 0.95  # of a column's cells that must be numbers of one form
MIN_ROWS = 5
MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL")
PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(
    r"[-+]?(\d{1,3}(\.\d{3})+,\d+|0?,\d+|\d+,(\d{1,2}|\d{4,})|\d{4,},\d+)([eE][-+]?\d+)?", re.ASCII
)
EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)
GROUPED = {
    ",": re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+\.\d+|[-+]?[1-9]\d{0,2}(,\d{3}){2,}", re.ASCII),
    ".": re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+,\d+|[-+]?[1-9]\d{0,2}(\.\d{3}){2,}", re.ASCII),
    "'": re.compile(r"[-+]?[1-9]\d{0,2}(['’]\d{3})+([.,]\d+)?", re.ASCII),
    " ": re.compile(rf"[-+]?[1-9]\d{{0,2}}([{dialects.SPACES}]\d{{3}})+([.,]\d+)?", re.ASCII),
}

Rows = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class Finding:
    """A complete dialect, and what there is to say about it.

    Attributes:
        dialect: With a delimiter and a header.
        notes: What is not as usual, a sentence each.
        unclear: Columns of numbers that can be read in two ways, with one of their cells.
    """

    dialect: Dialect
    notes: tuple[str, ...] = ()
    unclear: dict[str, str] = field(default_factory=dict)


def complete(path: Path, known: Dialect | None = None, names: Collection[str] = ()) -> Dialect:
    """Returns a dialect with delimiter, encoding and header, from the first lines of the file."""
    return find_dialect(path, known, names).dialect


def find_dialect(path: Path, known: Dialect | None = None, names: Collection[str] = ()) -> Finding:
    """Finds what a dialect does not say.

    Args:
        path: The file.
        known: What is said of it.
        names: Columns that it has, as far as they are known: the header is the first line that has them all.
    """
    known = known or Dialect()
    encoding = known.encoding or dialects.find_encoding(path)
    lines = _sample_lines(path, encoding)
    delimiter = known.delimiter or find_delimiter(lines, names)
    rows = [(line, cells) for line, cells, _ in parse_lines(lines, delimiter) if any(cells)]
    header = known.header if known.header is not None else find_header(rows, names)
    below = [cells for line, cells in rows if line > header]
    decimal, thousands, unclear = find_numbers(below, known)
    complete = replace(
        known, encoding=encoding, delimiter=delimiter, header=header, decimal=decimal, thousands=thousands
    )
    notes = _describe(known, complete, rows)
    titles = make_header(next((cells for line, cells in rows if line == header), []), below)
    return Finding(complete, notes, {titles[place]: text for place, text in unclear.items() if place < len(titles)})


def _sample_lines(path: Path, encoding: str) -> list[str]:
    """The first lines; the last one only where it is whole."""
    with dialects.open_text(path, encoding) as file:
        text = file.read(SAMPLE_CHARACTERS)
        more = bool(file.read(1))
    lines = list(itertools.islice(io.StringIO(text, newline=""), SAMPLE_LINES))
    return lines[:-1] if more and 1 < len(lines) < SAMPLE_LINES else lines


def find_delimiter(lines: list[str], names: Collection[str] = ()) -> str:
    """Returns the delimiter of the header; of the rows, where the first line is a title.

    Args:
        lines: Of the file, from the first.
        names: Columns that it has, as far as they are known.
    """
    tables = {mark: [cells for _, cells, _ in parse_lines(lines, mark) if any(cells)] for mark in DELIMITERS}
    if not any(tables.values()):
        return DELIMITERS[0]
    if names:
        for mark, rows in tables.items():
            if any(set(names) <= set(cells) for cells in rows[:HEADER_LINES]):
                return mark
    first = max(DELIMITERS, key=lambda mark: len(tables[mark][0]) if tables[mark] else 0)
    blanks = [cells for _, cells, _ in parse_lines(lines, BLANKS) if cells]
    width, share = _usual_width(tables[first])
    if _is_blank_separated(blanks, width):
        return BLANKS
    if width > 1 and width == len(tables[first][0]) and share > USUAL_SHARE and first != ",":
        return first

    def rank(mark: str) -> tuple[float, ...]:
        rows = tables[mark]
        return _fit(rows), round(_number_share(rows), 1), len(rows[0]), mark != ",", mark == first

    return max((mark for mark in DELIMITERS if tables[mark]), key=rank)


def _fit(rows: list[list[str]]) -> float:
    """How well rows make a table: the share of those that are as wide as most are, if that is more than one cell."""
    width, share = _usual_width(rows)
    return round(share, 1) if width > 1 else 0.0


def _usual_width(rows: list[list[str]]) -> tuple[int, float]:
    """The most frequent number of cells, and the share of the rows that have it."""
    ((width, count),) = Counter(map(len, rows)).most_common(1) or [(0, 0)]
    return width, count / max(len(rows), 1)


def _is_blank_separated(rows: list[list[str]], width: int) -> bool:
    """Whether blanks make more columns of numbers than any delimiter does."""
    wide, share = _usual_width(rows)
    many = share >= BLANKS_SHARE and len(rows) >= MIN_ROWS and wide > max(width, 1)
    return many and _number_share(rows) > USUAL_SHARE


def _number_share(rows: list[list[str]]) -> float:
    cells = [cell for row in rows for cell in row]
    return sum(map(_is_number, cells)) / max(len(cells), 1)


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
    width, share = _usual_width([cells for _, cells in rows])
    if width < 2 or share < USUAL_SHARE:  # noqa: PLR2004
        return 0
    for place, (_, cells) in enumerate(rows[:HEADER_LINES]):
        below = [row for _, row in rows[place + 1 :]]
        title = not any(cells[1:]) or (len(cells) < width and not has_row_names(cells, below))
        if not title or len(below) < MIN_ROWS:
            return place
    return 0


def has_row_names(header: list[str], below: list[list[str]]) -> bool:
    """Whether the rows have one cell more than the header, as R writes them: their number or name."""
    width, share = _usual_width(below)
    if len(below) < MIN_ROWS or not all(header) or width != len(header) + 1 or share < NUMBER_SHARE:
        return False
    return len(below[0]) == width and not _names_numbers(below[0], below[1:])


def _names_numbers(cells: list[str], below: list[list[str]]) -> bool:
    """Whether a text stands above a column of numbers: then it is a header."""
    columns = _columns(below)
    pairs = zip(cells, columns, strict=False)
    return any(cell not in MISSING and not _is_number(cell) and _is_numeric(column) for cell, column in pairs)


def is_data(cells: list[str], below: list[list[str]]) -> bool:
    """Whether a first row is one of data: numbers above numbers, or texts that all come again in their columns.

    Years, and numbers in equal steps such as 0, 1, 2, are names of columns.
    """
    if len(cells) < 2 or len(below) < MIN_ROWS or not cells[0] or _names_numbers(cells, below):  # noqa: PLR2004
        return False
    columns = _columns(below)
    numbers = [cell for cell in cells if _is_number(cell)]
    if numbers:
        over = all(_is_numeric(column) for cell, column in zip(cells, columns, strict=False) if _is_number(cell))
        return over and not _are_names(numbers)
    there = [cell not in MISSING for cell in cells]
    again = all(cell in column for cell, column, known in zip(cells, columns, there, strict=False) if known)
    return again and len(columns) >= len(cells) and sum(there) > 1


def _are_names(texts: list[str]) -> bool:
    values = [float(text.replace(",", ".")) for text in texts]
    if all(value.is_integer() and 1500 <= value <= 2200 for value in values):  # noqa: PLR2004  (years)
        return True
    steps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(values)]
    return len(steps) > 1 and len(set(steps)) == 1 and steps[0] > 0


def _is_number(cell: str) -> bool:
    return bool(PLAIN.fullmatch(cell) or DECIMAL_COMMA.fullmatch(cell))


def _is_numeric(column: list[str]) -> bool:
    present = [cell for cell in column if cell not in MISSING]
    return bool(present) and sum(map(_is_number, present)) >= NUMBER_SHARE * len(present)


def _columns(rows: list[list[str]]) -> list[list[str]]:
    return [list(column) for column in itertools.zip_longest(*rows, fillvalue="")]


def find_numbers(rows: list[list[str]], known: Dialect) -> tuple[str, str, dict[int, str]]:
    """Returns what begins the decimals, what groups digits, and by column a cell that can be read in two ways."""
    forms = [form for column in _columns(rows) if (form := _number_forms(column))]
    certain = set().union(*forms)
    decimal, thousands = known.decimal, known.thousands
    if not decimal and thousands != "," and "decimal" in certain and "," not in certain:
        decimal = ","
    if not thousands:
        possible = [mark for mark in GROUPED if mark in certain and mark != (decimal or ".")]
        thousands = possible[0] if possible else ""
    if decimal == "," or thousands == ",":
        return decimal, thousands, {}
    unclear = {}
    for place, column in enumerate(_columns(rows)):
        if _number_forms(column) & {"either", ","} and not known.decimal:
            unclear[place] = next(cell for cell in column if "," in cell)
    return decimal, thousands, unclear


def _number_forms(column: list[str]) -> set[str]:
    """The forms of a column of numbers: "decimal" (a comma), what groups digits, "either"; none for another column."""
    present = [cell for cell in column if cell not in MISSING]
    odd = [cell for cell in present if not PLAIN.fullmatch(cell)]
    forms = [_number_form(cell) for cell in odd]
    few = len(present) - sum(map(bool, forms)) - (len(present) - len(odd))
    return set().union(*forms) if odd and few <= (1 - NUMBER_SHARE) * len(present) else set()


def _number_form(cell: str) -> set[str]:
    forms = {mark for mark, pattern in GROUPED.items() if pattern.fullmatch(cell)}
    if DECIMAL_COMMA.fullmatch(cell):
        forms.add("decimal")
    return forms | ({"either"} if EITHER.fullmatch(cell) else set())


def _describe(known: Dialect, complete: Dialect, rows: Rows) -> tuple[str, ...]:
    above = [cells for line, cells in rows if line < (complete.header or 0)]
    notes = {
        f"The file is {complete.encoding}.": not known.encoding and not complete.encoding.startswith("utf-8"),
        "Blanks separate the columns.": not known.delimiter and complete.delimiter == BLANKS,
        f"Line {complete.header} is the header; the title above it is passed over.": bool(above),
        "There is no header: the first line is data, and the columns are column_1, column_2 and so on "
        "(--header 1 for the other reading).": complete.header == 0 and known.header is None,
        "Decimals begin with a comma (--decimal . for the other reading).": complete.decimal == ","
        and not known.decimal,
        f"{complete.thousands!r} groups digits.": bool(complete.thousands) and not known.thousands,
    }
    return tuple(note for note, holds in notes.items() if holds)


def make_header(cells: list[str], below: list[list[str]]) -> list[str]:
    """Returns the names of the columns: a name that comes again gets a number, row names none.

    Args:
        cells: The header; empty if there is none.
        below: The first rows.
    """
    if not cells:
        return [f"column_{place + 1}" for place in range(_usual_width(below)[0])]
    names = ["", *cells] if has_row_names(cells, below) else list(cells)
    used = set(names)
    unique: dict[str, None] = {}
    for name in names:
        free, number = name, 2
        while free in unique or (free != name and free in used):
            free, number = f"{name}_{number}", number + 1
        unique[free] = None
    return list(unique)
