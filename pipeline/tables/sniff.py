"""Finds how a file of separated values is written, where it does not say so itself.

Only what is safe is found: a header below a title, a first row that is data, decimal commas that cannot be anything
else. What may be read in two ways is an error that names the option.
"""

from __future__ import annotations

import io
import itertools
import zlib
from dataclasses import dataclass, field, replace
from gzip import BadGzipFile
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError, unreadable_file
from pipeline.tables import dialect as dialects
from pipeline.tables.dialect import BLANKS, Dialect, parse_lines
from pipeline.tables.encodings import require_no_utf8, require_text_bytes
from pipeline.tables.escapes import has_escapes
from pipeline.tables.header import (
    HEADER_LINES,
    MIN_ROWS,
    USUAL_SHARE,
    ends_empty,
    find_header,
    has_named_numbers,
    is_second_header,
    make_header,
    usual_width,
)
from pipeline.tables.number_forms import find_numbers, is_number, number_share
from pipeline.tables.split_decimals import require_whole_numbers

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pipeline.tables.header import Rows

DELIMITERS = (",", "\t", ";", "|")
SAMPLE_LINES = 1000
MOST_NAMES = 5
SAMPLE_CHARACTERS = 1 << 20
BLANKS_SHARE = 0.95


@dataclass(frozen=True)
class Finding:
    """A complete dialect, and what there is to say about it.

    Attributes:
        dialect: With a delimiter and a header.
        notes: What is not as usual, a sentence each.
        columns: Names of the columns.
        unclear: Columns of numbers that can be read in two ways, with one of their cells.
        below: Line and cells of the first rows below the header.
    """

    dialect: Dialect
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    unclear: dict[str, str] = field(default_factory=dict)
    below: Rows = field(default_factory=list, repr=False)


def complete(path: Path, known: Dialect | None = None, names: Collection[str] = ()) -> Dialect:
    """Returns a dialect with delimiter, encoding and header, from the first lines of the file."""
    return find_dialect(path, known, names).dialect


def find_dialect(path: Path, known: Dialect | None = None, names: Collection[str] = ()) -> Finding:
    """Finds what a dialect does not say.

    Args:
        path: The file.
        known: What is said of it.
        names: Columns that it has, as far as they are known: the header is the first line that has them all.

    Raises:
        PipelineError: It is no text, but an archive or a workbook.
        UsageError: Commas separate the cells and begin the decimals, too.
    """
    known = known or Dialect()
    require_text_bytes(path)
    encoding, lines = _read_sample(path, known.encoding)
    delimiter = known.delimiter or find_delimiter(lines, names)
    escaped = has_escapes(lines, delimiter)
    rows = [(line, cells) for line, cells, _ in parse_lines(lines, delimiter, escaped=escaped) if any(cells)]
    if delimiter == "," and known.header is None and not names:
        require_whole_numbers(path, rows)
    header = known.header if known.header is not None else find_header(rows, names)
    if known.header is None and not names and not header:
        require_names(path, rows)
    numbered = [row for row in rows if row[0] > header]
    below = [cells for _, cells in numbered]
    decimal, thousands, unclear = find_numbers(below, replace(known, delimiter=delimiter))
    form: dict[str, Any] = {"encoding": encoding, "delimiter": delimiter, "header": header, "escaped": escaped}
    complete = replace(known, decimal=decimal, thousands=thousands, **form)
    written = next((cells for line, cells in rows if line == header), [])
    titles = make_header(written, below)
    twins = [name for name in titles if written and name not in written and name]
    notes = _describe(known, complete, rows)
    notes += (f"Names that come again in the header got a number: {', '.join(twins[:MOST_NAMES])}.",) if twins else ()
    ends = ends_empty(written, below) if written else False
    notes += ("Each row ends with a delimiter: the empty last cell is dropped.",) * ends
    either = {titles[place]: text for place, text in unclear.items() if place < len(titles)}
    return Finding(complete, notes, tuple(titles), either, numbered)


def _read_sample(path: Path, named: str) -> tuple[str, list[str]]:
    """Returns the encoding, and the first lines.

    Raises:
        PipelineError: The file is damaged, or of another encoding than the named one.
    """
    try:
        encoding = named or dialects.find_encoding(path)
        require_no_utf8(path, named)
        return encoding, _sample_lines(path, encoding)
    except UnicodeError as error:
        raise PipelineError(
            f"{path} is not {named or 'text'}.",
            expected=f"text in {named or 'UTF-8'}",
            received=str(error),
            action="name another encoding with --encoding, or leave it out",
        ) from error
    except (EOFError, zlib.error, BadGzipFile) as error:
        raise unreadable_file(path, "a text, plain or a complete .gz file", error) from error


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
    width, share = usual_width(tables[first])
    if _is_blank_separated(blanks, width):
        return BLANKS
    if width > 1 and width == len(tables[first][0]) and share > USUAL_SHARE and first != ",":
        return first

    def rank(mark: str) -> tuple[float, ...]:
        rows = tables[mark]
        named = has_named_numbers(list(enumerate(rows, 1)))  # not so where decimals begin with that mark
        return _fit(rows), named, round(number_share(rows), 1), len(rows[0]), mark != ",", mark == first

    return max((mark for mark in DELIMITERS if tables[mark]), key=rank)


def _fit(rows: list[list[str]]) -> float:
    """How well rows make a table: the share of those that are as wide as most are, if that is more than one cell."""
    width, share = usual_width(rows)
    return round(share, 1) if width > 1 else 0.0


def _is_blank_separated(rows: list[list[str]], width: int) -> bool:
    """Whether blanks make more columns of numbers than any delimiter does."""
    wide, share = usual_width(rows)
    many = share >= BLANKS_SHARE and len(rows) >= MIN_ROWS and wide > max(width, 1)
    return many and number_share(rows) > USUAL_SHARE


def require_clear(path: Path, unclear: dict[str, str]) -> None:
    """Raises a UsageError if numbers can be read in two ways."""
    if unclear:
        mark = "," if any("," in text for text in unclear.values()) else "."
        raise UsageError(
            f"The numbers in {path} can be read in two ways.",
            expected="a comma or point that only groups digits, or only begins decimals",
            received="; ".join(f"{name}: {text!r}" for name, text in unclear.items()),
            action=f"say which: --thousands {mark} or --decimal {mark}",
        )


def require_one_header(path: Path, finding: Finding) -> None:
    """Raises a UsageError if the first rows below the header are further lines of names, or of units."""
    rows = [cells for _, cells in finding.below]
    more = list(itertools.takewhile(lambda place: is_second_header(rows[place], rows[place + 1 :]), range(len(rows))))
    if not more:
        return
    line, cells = finding.below[more[-1]]
    counted = "counts it as a row" if len(more) == 1 else "counts all below it as rows"
    raise UsageError(
        f"Line {line} of {path} has words where all lines below have numbers.",
        expected="one line of names, and rows below it",
        received=f"{', '.join(map(repr, cells[:MOST_NAMES]))} below the header{'s' * (len(more) > 1)}",
        action=f"--header {line} takes the names of that line, --header {finding.dialect.header} {counted} that cannot "
        "be read; or delete it",
    )


def require_names(path: Path, rows: Rows) -> None:
    """Raises a UsageError if the first line looks like a header, and lacks a name for one of the columns."""
    (line, first), width = rows[0], usual_width([cells for _, cells in rows])[0]
    if 1 < len(first) == width - 1 and all(first) and not any(map(is_number, first)):
        raise UsageError(
            f"Line {line} of {path} has {len(first)} names, and the rows have {width} cells.",
            expected="a name for each column",
            received=f"{', '.join(first[:MOST_NAMES])} above {', '.join(rows[1][1][: MOST_NAMES + 1])}",
            action="add the name that is missing, at the left if the rows begin with their own names; or quote texts "
            "that hold a delimiter; --header 0 if that line names nothing",
        )


def _describe(known: Dialect, complete: Dialect, rows: Rows) -> tuple[str, ...]:
    above = [cells for line, cells in rows if line < (complete.header or 0)]
    notes = {
        f"The file is {complete.encoding}.": not known.encoding and not complete.encoding.startswith("utf-8"),
        "Blanks separate the columns.": not known.delimiter and complete.delimiter == BLANKS,
        f"Line {complete.header} is the header; the title above it is passed over.": bool(above),
        "There is no header: the first line is data, and the columns are column_1, column_2 and so on "
        "(--header 1 for the other reading).": complete.header == 0 and known.header is None,
        "Decimals begin with a comma (--decimal . for the other reading).": complete.decimal == ","
        and not known.decimal
        and known.thousands != ".",
        'A backslash precedes quotes within quotes, as in "so \\"called\\" names".': bool(complete.escaped),
        f"{complete.thousands!r} groups digits.": bool(complete.thousands) and not known.thousands,
    }
    return tuple(note for note, holds in notes.items() if holds)
