"""CSV and TSV files with a header, plain or compressed by gzip."""

from __future__ import annotations

import csv
import gzip
import itertools
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, cast

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Example

DELIMITERS = (",", "\t", ";", "|")
EXPECTED = "a file of separated values with a header, plain or .gz"
FAILURES = (OSError, EOFError, zlib.error)
BLOCK_ROWS = 8192


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
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    test: str = ""
    delimiter: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = table.MISSING_TEXTS

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
            lines = read_rows(path, self.delimiter)
            header = next(lines)[1]
            layout.check(path, header)
            _require_unique(path, [name for name in header if name in layout.names])
            for line, cells, fault in lines:
                source = f"{path} line {line}"
                row = dict(zip(header, cells, strict=False))
                yield layout.example(source, row, split) if not fault else table.faulty_example(source, split, fault)


def _require_unique(path: Path, names: list[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise PipelineError(
            f"{path} has more than one column {', '.join(twins)}.",
            expected="one column of each declared name",
            received=", ".join(names),
            action="rename the columns in the file",
        )


def read_rows(path: Path, delimiter: str = "") -> Iterator[tuple[int, list[str], str]]:
    """Yields line number, stripped cells and fault of each row, the header first (empty for an empty file).

    Bytes that are not UTF-8 become surrogates, which no feature accepts, so that their row is unusable.

    Raises:
        PipelineError: The file is damaged.
    """
    try:
        with open_text(path) as file:
            first = file.readline()
            reader = csv.reader(itertools.chain([first], file), delimiter=delimiter or detect_delimiter(first))
            header = [cell.strip() for cell in next(reader, [])]
            yield reader.line_num, header, ""
            for cells, fault in _read_lines(reader):
                if not fault and len(cells) > len(header):
                    fault = f"{len(cells)} cells, expected {len(header)}"  # noqa: PLW2901
                if cells or fault:  # skips empty lines
                    yield reader.line_num, [cell.strip() for cell in cells], fault
    except FAILURES as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _read_lines(reader: Any) -> Iterator[tuple[list[str], str]]:
    """Yields cells or fault of each row: the reader continues after a row that it cannot read."""
    while True:
        try:
            yield next(reader), ""
        except csv.Error as error:
            yield [], str(error)
        except StopIteration:
            return


def open_text(path: Path) -> IO[str]:
    """Opens a text file, decompressed if its name ends in .gz."""
    options = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    if path.suffix.lower() == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", **options))  # type: ignore[call-overload]
    return path.open(**options)  # type: ignore[call-overload,no-any-return]


def detect_delimiter(header: str) -> str:
    """Returns the delimiter that splits the header into the most cells."""
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))


def read_blocks(path: Path, delimiter: str = "") -> Iterator[dict[str, list[Any]]]:
    """Yields the readable rows as columns of texts, some thousand at a time; cells that a short row lacks are None."""
    lines = read_rows(path, delimiter)
    header = next(lines)[1]
    sound = (cells for _, cells, fault in lines if not fault)
    while block := list(itertools.islice(sound, BLOCK_ROWS)):
        columns = zip(header, map(list, itertools.zip_longest(*block)), strict=False)
        yield {name: [None] * len(block) for name in header} | dict(columns)
