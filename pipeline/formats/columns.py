"""Inspects the columns of a table: kinds, missing and distinct values, as needed to write a recipe for it.

Memory is bounded: a small number of distinct values is counted exactly, a large one is estimated from hashes.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.features import dates, text
from pipeline.formats import csv, jsonl, parquet, read_table, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.formats.dialect import Dialect


SAMPLED_ROWS = 200_000
MAX_VALUES = 100  # distinct values that are stored
FREE_SHARE = 0.5  # share of distinct values from which on text may be free text
ID_SHARE = 0.95  # share of distinct values from which on a column may be an id
ID_ROWS = 20  # with fewer, all values may differ by chance
ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|index|nr|no)$|[a-z]I[dD]$", re.ASCII)
# Digits with other characters, which no kind accepts: "12,5", "$3", "40 %", "3/4/2024".
FIGURES = re.compile(r"[\W_]*\d[\d\W_]*", re.ASCII)
INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)  # 007 is a code, not a number
SKETCH_SIZE = 1024  # stored hashes: an error of about 3 %


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name in the header.
        kind: "float", "int", "bytes" or "float[n]", as a recipe declares it; integers are "float" if some are
            missing. Empty for nested values, which no feature can have.
        rows: Rows of the whole table.
        missing: Rows of the whole table without a value.
        distinct: Number of distinct values in the sampled rows; exact up to 1,023, an estimate above.
        values: These values in the order of appearance, as text; empty if there are more than a hundred.
        date: Whether all values are dates that `pipeline.features.dates` reads.
        free_text: Whether the values are sentences rather than names of categories.
        figures: Whether the texts are numbers or dates in an unsupported form: "12,5", "$3", "3/4/2024".
        constant: Whether there is at most one value.
        id_like: Whether it identifies the rows, so that a model cannot learn from it.
    """

    name: str
    kind: str
    rows: int
    missing: int
    distinct: int
    values: tuple[str, ...] = ()
    date: bool = False
    free_text: bool = False
    figures: bool = False
    constant: bool = False
    id_like: bool = False


def inspect_table(path: Path, *, dialect: Dialect | None = None, sampled_rows: int = SAMPLED_ROWS) -> list[Column]:
    """Inspects a table: CSV, TSV, JSON lines (all plain or .gz) or Parquet.

    Memory is bounded: kinds and values are those of the first rows; in the others only missing values are counted.
    Unreadable rows are skipped.

    Args:
        path: File, or folder of `.parquet` files.
        dialect: How a CSV file is written, as far as it is known.
        sampled_rows: Rows of the sample, rounded up to whole blocks.

    Returns:
        The columns in the order of the table; none for an empty table.

    Raises:
        PipelineError: There is no such table, or its format is unknown.
    """
    tallies: dict[str, ColumnTally] = {}
    rows = 0
    for block in _read_blocks(path, dialect):
        size = len(next(iter(block.values()), []))
        for name in block:
            tallies.setdefault(name, ColumnTally(missing=rows))  # a JSON member may first appear in a later block
        for name, tally in tallies.items():
            tally.add(block.get(name, [None] * size), sampled=rows < sampled_rows)
        rows += size
    types = _parquet_kinds(path)
    return [_make_column(name, tally, rows, types.get(name)) for name, tally in tallies.items()]


def _read_blocks(path: Path, dialect: Dialect | None) -> Iterator[dict[str, list[Any]]]:
    (path,) = table.find_files(path.parent, [path.name], "a table: CSV, TSV, JSON lines or Parquet", folders=True)
    match read_table.table_format(path):
        case "parquet":
            return (block for part in parquet.part_files(path) for block in parquet.read_blocks(part))
        case "csv":
            return csv.read_blocks(path, dialect)
        case "jsonl":
            return jsonl.read_blocks(path)
    raise PipelineError(
        f"The format of {path} is not known by its ending.",
        expected=read_table.EXPECTED_FILE,
        received=path.name,
        action="rename the file, or convert it",
    )


def _parquet_kinds(path: Path) -> dict[str, str]:
    if read_table.table_format(path) != "parquet":
        return {}
    return {name: kind for part in parquet.part_files(path)[:1] for name, kind in parquet.column_kinds(part).items()}


class DistinctSketch:
    """Counts distinct values in bounded memory: the smallest hashes are as dense as all hashes.

    Source: Z. Bar-Yossef et al., Counting distinct elements in a data stream, RANDOM 2002, algorithm 1.
    """

    def __init__(self) -> None:
        self.hashes: set[int] = set()
        self.heap: list[int] = []  # the same hashes negated, the largest on top

    def add(self, text: str) -> None:
        """Adds a value; a repeated one changes nothing."""
        content = text.encode(errors="surrogatepass")
        hashed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        if hashed in self.hashes or (len(self.heap) == SKETCH_SIZE and hashed > -self.heap[0]):
            return
        self.hashes.add(hashed)
        heapq.heappush(self.heap, -hashed)
        if len(self.heap) > SKETCH_SIZE:
            self.hashes.remove(-heapq.heappop(self.heap))

    @property
    def count(self) -> int:
        """The number of distinct values; exact if it is below the number of stored hashes."""
        return len(self.heap) if len(self.heap) < SKETCH_SIZE else round((SKETCH_SIZE - 1) * 2**64 / -self.heap[0])


@dataclass
class ColumnTally:
    """Statistics of one column; values as text."""

    missing: int = 0
    present: int = 0  # in the sample
    words: int = 0
    integer: bool = True
    number: bool = True
    date: bool = True
    figures: bool = True
    nested: bool = False
    rising: bool = True
    last: float = float("-inf")
    lengths: set[int] = field(default_factory=set)  # of lists of numbers
    values: dict[str, None] = field(default_factory=dict)
    sketch: DistinctSketch = field(default_factory=DistinctSketch)

    def add(self, block: list[Any], *, sampled: bool) -> None:
        """Adds the next rows of the column."""
        cells = [raw for raw in block if not table.is_missing(raw)]
        self.missing += len(block) - len(cells)
        if sampled:
            self.present += len(cells)
            texts = list(self._texts(cells))
            self.words += sum(len(text.split()) for text in texts)
            for text in dict.fromkeys(texts):
                self._add_value(text)
            self._check_order(texts)

    def _texts(self, cells: list[Any]) -> Iterator[str]:
        for raw in cells:
            if isinstance(raw, list | dict):
                self.nested = True
                numbers = isinstance(raw, list) and all(isinstance(x, int | float | None) for x in raw)
                self.lengths.add(len(raw) if numbers else -1)
            else:
                yield table.to_text(raw).decode(errors="replace") if not isinstance(raw, str) else raw

    def _add_value(self, text: str) -> None:
        self.sketch.add(text)
        if len(self.values) <= MAX_VALUES:
            self.values[text] = None
        self.integer = self.integer and _fits(text, "int") and bool(INTEGER.fullmatch(text.strip()))
        self.number = self.number and _fits(text, "float") and not _is_code(text)
        self.date = self.date and dates.iso(text) is not None
        self.figures = self.figures and not text.isdigit() and bool(FIGURES.fullmatch(text))

    def _check_order(self, texts: list[str]) -> None:
        for cell in texts if self.integer and self.rising else ():
            self.rising = self.rising and int(cell) > self.last
            self.last = int(cell)


def _fits(text: str, kind: str) -> bool:
    try:
        table.to_value(text, kind)
    except table.FAILURES:
        return False
    return True


def _is_code(text: str) -> bool:
    return bool(re.match(r"\s*-?0\d", text, re.ASCII))


def _make_column(name: str, tally: ColumnTally, rows: int, type_: str | None) -> Column:
    # A list's type need not have a length: for "float[]" it is that of the values.
    kind = _choose_kind(tally) if type_ in (None, "float[]") else type_
    if kind == "int" and tally.missing:
        kind = "float"
    distinct = min(tally.sketch.count, tally.present)
    values = tuple(tally.values) if len(tally.values) <= MAX_VALUES else ()
    date = kind == "bytes" and tally.date and tally.present > 0
    free = kind == "bytes" and not date and _is_free_text(tally, distinct)
    return Column(
        name,
        kind,
        rows,
        tally.missing,
        distinct,
        values,
        date,
        free,
        figures=kind == "bytes" and not date and tally.figures and tally.present > 0,
        constant=distinct <= 1 and not tally.nested,
        id_like=not (date or free) and _is_id(name, kind, tally, distinct),
    )


def _choose_kind(tally: ColumnTally) -> str:
    if tally.nested:
        (length,) = tally.lengths if len(tally.lengths) == 1 and not tally.values else (-1,)
        return f"float[{length}]" if length > 0 else ""
    if not tally.present or not tally.number:
        return "bytes"
    return "int" if tally.integer else "float"


def _is_free_text(tally: ColumnTally, distinct: int) -> bool:
    return tally.words >= text.FREE_WORDS * tally.present and distinct > FREE_SHARE * tally.present and distinct > 1


def _is_id(name: str, kind: str, tally: ColumnTally, distinct: int) -> bool:
    """Returns whether values are distinct names, or integers that increase from row to row or are named an id."""
    if tally.present < ID_ROWS or distinct < ID_SHARE * tally.present:
        return False
    whole = tally.integer and (tally.rising or bool(ID_NAME.search(name)))
    return kind == "bytes" or (kind in ("int", "float") and whole)
