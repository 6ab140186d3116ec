"""CSV and TSV files with a header, plain or compressed by gzip."""

from __future__ import annotations

import itertools
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import unreadable_file
from pipeline.formats import table
from pipeline.tables import header as headers
from pipeline.tables import sniff
from pipeline.tables.dialect import Dialect, is_broken, open_text, parse_lines, require_text
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Example

EXPECTED = "a file of separated values with a header, plain or .gz"
FAILURES = (OSError, EOFError, zlib.error, UnicodeError)
PAIR = 2  # cells
MIN_ROWS = 20  # in shorter files the last row is no footer
FOOTER_LINES = 5
TOTALS = {"total", "totals", "grand total", "sum", "average", "mean", "summe", "gesamt", "somme", "suma", "totale"}

Line = tuple[int, list[str], str]  # number, cells, fault


@dataclass(frozen=True)
class Csv:
    """A CSV or TSV file. Raw inputs are the declared columns; other columns of the file are ignored.

    Args:
        path: File, absolute or under the data folder; may be `.gz`.
        columns: Kind of each input column: "float", "int" or "bytes" (text; dates, see `pipeline.features.dates`).
        label: Column of the label.
        classes: Declared classes; empty if the label is a number.
        test: A second file with the same columns, the official test set; then `path` has the training rows.
        delimiter: Separator of the cells; detected from the header if empty.
        extra: Kind of other columns, which clients do not send, for `Group` splits and slices.
        time: Column with the date of each row, for `Time` splits.
        missing: Texts that mean a missing value. Clients leave such a value empty (NaN for a number).
        encoding: As Python names it; that of the byte order mark, or UTF-8, if empty.
        decimal: What begins the decimals, "." or ","; "." if empty.
        thousands: What groups digits: ",", ".", " " or "'".
        header: Line of the header; 0 for none, then the columns are called column_1, column_2 and so on. If None, it
            is the first line with all declared columns. A name that comes again in it gets a number: x, x_2.
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    test: str = ""
    delimiter: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = MISSING_TEXTS
    encoding: str = ""
    decimal: str = ""
    thousands: str = ""
    header: int | None = None

    @property
    def dialect(self) -> Dialect:
        """How the file is written, as far as the recipe says it."""
        return Dialect(self.delimiter, self.encoding, self.decimal, self.thousands, self.header)

    @property
    def inputs(self) -> dict[str, str]:
        """The declared columns."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """Returns the file, and the official test file if there is one.

        Raises:
            PipelineError: There is no such file.
        """
        return table.find_files(data, (self.path, self.test), EXPECTED)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the rows in the order of the file; a row with more cells than the header is unusable.

        Raises:
            PipelineError: A declared column is missing, or the file is damaged.
        """
        layout = table.Layout.from_table(self)
        for path, split in table.assign_splits(self.files(data), self.test):
            lines = read_rows(path, self.dialect, layout.names)
            header = next(lines)[1]
            layout.check(path, header)
            for line, cells, fault in lines:
                source = f"{path} line {line}"
                row = dict(zip(header, cells, strict=False))
                yield layout.example(source, row, split) if not fault else table.faulty_example(source, split, fault)


def read_rows(
    path: Path, dialect: Dialect | None = None, names: Collection[str] = ()
) -> Iterator[tuple[int, list[str], str]]:
    """Yields line number, stripped cells and fault of each row, the header first (empty for an empty file).

    Bytes that the encoding does not know become surrogates, which no feature accepts, so that their row is unusable.
    What stands below the table, such as a total, is a row with a fault.

    Args:
        path: The file.
        dialect: What is known of how it is written.
        names: Columns that it has, as far as they are known.

    Raises:
        PipelineError: The file is damaged.
    """
    try:
        known = sniff.complete(path, dialect, names)
        with open_text(path, known.encoding) as file:
            parsed = parse_lines(file, known.delimiter, escaped=known.escaped)
            lines = (row for row in parsed if row[1] or row[2])  # skips empty lines
            yield from _number_rows(path, lines, known.header or 0, known.named_encoding)
    except FAILURES as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _number_rows(path: Path, lines: Iterator[Line], header_line: int, encoding: str) -> Iterator[Line]:
    title = next((line for line in lines if line[0] >= header_line), (0, [], "")) if header_line else (0, [], "")
    first = list(itertools.islice(lines, sniff.SAMPLE_LINES))
    header = headers.make_header(title[1], [cells for _, cells, fault in first if not fault])
    for name in header:
        require_text(path, title[0], name, encoding)
    yield title[0], header, ""
    yield from _mark_footer(_mark_headers(itertools.chain(first, lines), title[1], len(header)), len(header))


def _mark_headers(lines: Iterator[Line], header: list[str], width: int) -> Iterator[Line]:
    """Yields the rows; a header that comes again, as in files that were put together, gets a fault.

    Where it has the names in another order, the cells of the rows below it are put into that of the first one.
    """
    places: list[int] = []
    names = sorted(header) if len(set(header)) == len(header) == width else []
    for line, cells, fault in lines:
        if cells == header and len(header) > 1:
            places = []
            yield line, cells, "the header again"
        elif len(cells) == len(names) > 1 and cells[0] in names and sorted(cells) == names:
            places = [cells.index(name) for name in header]
            yield line, cells, f"the header again, in another order: {', '.join(cells)}"
        else:
            yield line, _sort_cells(cells, places) if places else cells, fault


def _sort_cells(cells: list[str], places: list[int]) -> list[str]:
    """Returns the cells at these places, empty where a row is short, and those behind them."""
    return [*(cells[place] if place < len(cells) else "" for place in places), *cells[len(places) :]]


def _mark_footer(lines: Iterator[Line], width: int) -> Iterator[Line]:
    """Yields the rows; one with too many cells, and what stands below the table, get a fault."""
    last: deque[Line] = deque()
    count, sparse = 0, False
    for line, cells, fault in lines:
        cells = cells if any(cells[width:]) else cells[:width]  # noqa: PLW2901  (a last delimiter)
        if not fault and len(cells) > width:
            fault = f"{len(cells)} cells, expected {width}"  # noqa: PLW2901
        if not fault and width > 1 and not any(cells):
            fault = "an empty row"  # noqa: PLW2901
        last.append((line, cells, fault))
        if len(last) > FOOTER_LINES:
            count, sparse = count + 1, sparse or _is_sparse(last[0][1])
            yield last.popleft()
    rows = list(last)
    place = len(rows)
    while place and count + place > MIN_ROWS and width > 1 and _is_footer(rows[place - 1][1], sparse=sparse):
        place -= 1
    yield from rows[:place]
    yield from (
        (line, cells, fault or f"below the table: {', '.join(filter(None, cells))[:40]!r}")
        for line, cells, fault in rows[place:]
    )


def _is_sparse(cells: list[str]) -> bool:
    return sum(map(bool, cells)) <= 1


def _is_footer(cells: list[str], *, sparse: bool) -> bool:
    """Whether a last row is a remark in one cell, where no row before has so few, or a total.

    Of two cells, an empty one and then a value, the first one is missing: a remark begins on the left.
    """
    text = next(filter(None, cells), "").casefold().strip(" :")
    remark = _is_sparse(cells) and (bool(cells[0]) or len(cells) > PAIR)
    return (remark and not sparse) or text in TOTALS


def _require_encoded(path: Path, line: int, cells: list[str], encoding: str) -> list[str]:
    text = "".join(cells)
    if not text.isascii():
        require_text(path, line, next(filter(is_broken, cells), ""), encoding)
    return cells


def read_blocks(path: Path, dialect: Dialect | None = None) -> Iterator[dict[str, list[Any]]]:
    """Yields the readable rows as columns of texts, some thousand at a time; cells that a short row lacks are None."""
    lines = read_rows(path, dialect)
    header = next(lines)[1]
    encoding = dialect.named_encoding if dialect else ""
    sound = (_require_encoded(path, line, cells, encoding) for line, cells, fault in lines if not fault)
    rows = table.block_rows(len(header))
    while block := list(itertools.islice(sound, rows)):
        columns = zip(header, map(list, itertools.zip_longest(*block)), strict=False)
        yield {name: [None] * len(block) for name in header} | dict(columns)
