"""Inspects the columns of a table: kinds, missing and distinct values, as needed to write a recipe for it.

Memory is bounded: a small number of distinct values is counted exactly, a large one is estimated from hashes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.features import text, truth
from pipeline.formats import csv, jsonl, parquet, read_table, table
from pipeline.formats.column_tally import MAX_VALUES, ColumnTally, OddCells, is_code
from pipeline.tables import sniff
from pipeline.tables.number_forms import MISSING_TEXTS
from pipeline.tables.time_forms import describe_form, find_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.tables.dialect import Dialect


SAMPLED_ROWS, SAMPLED_CELLS = 200_000, 8_000_000  # whichever are fewer
FREE_SHARE = 0.5  # share of distinct values from which on text may be free text
ID_SHARE = 0.95  # share of distinct values from which on a column may be an id
ID_ROWS = 20  # with fewer, all values may differ by chance
ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|index|nr|no)$|[a-z]I[dD]$", re.ASCII)
UNNAMED = re.compile(r"|Unnamed: \d+|__index_level_\d+__|_\d+|index|level_\d+", re.ASCII)  # as pandas writes an index
CODE = re.compile(r"[A-Z]{2}", re.ASCII)
MIXED_SHARE = 0.5  # of cells that are no numbers


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
        time_form: What its times look like, if they are in a form that is not read: "'2020Q1'".
        time_part: Which part of a time it tells beside other columns: "year", "month", "day", "hour", "clock"; or "".
        free_text: Whether the values are sentences rather than names of categories.
        measure: Whether the texts are amounts of money, shares in percent or dates with slashes, however few differ.
        with_unit: Whether they are numbers with another unit: "4 GB", "50.1k"; they may be names of kinds, too.
        figures: Whether the texts are numbers or dates in an unsupported form: "12,5", "$3", "3/4/2024".
        truth: Whether all values say true or false, in whatever words (`pipeline.features.truth`).
        odd: Cells that are not of the kind, with their number: they are missing values, and counted there.
        no_numbers: Cells that are none in a column that is mostly of numbers, and yet is read as text.
        code: Whether all values are codes of two letters, and NA, which counts as missing, may be one of them.
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
    measure: bool = False
    with_unit: bool = False
    truth: bool = False
    odd: tuple[tuple[str, int], ...] = ()
    no_numbers: int = 0
    code: bool = False
    constant: bool = False
    id_like: bool = False
    time_form: str = ""
    time_part: str = ""


def inspect_table(
    path: Path,
    *,
    dialect: Dialect | None = None,
    missing: tuple[str, ...] = MISSING_TEXTS,
    sampled_rows: int = SAMPLED_ROWS,
) -> list[Column]:
    """Inspects a table: CSV, TSV, JSON lines (all plain or .gz) or Parquet.

    Memory is bounded: kinds and values are those of the first rows; in the others only missing values are counted.
    Unreadable rows are skipped.

    Args:
        path: File, or folder of `.parquet` files.
        dialect: How a CSV file is written, as far as it is known.
        missing: Texts that mean a missing value.
        sampled_rows: Rows of the sample, at most, rounded up to whole blocks; fewer of a table with many columns.

    Returns:
        The columns in the order of the table; none for an empty table.

    Raises:
        PipelineError: There is no such table, or its format is unknown.
    """
    tallies: dict[str, ColumnTally] = {}
    rows = 0
    if read_table.table_format(path) == "csv" and path.is_file():
        dialect = sniff.complete(path, dialect)
    forms = (dialect.decimal, dialect.thousands) if dialect else ("", "")
    for block in _read_blocks(path, dialect):
        size = len(next(iter(block.values()), []))
        for name in block:
            tallies.setdefault(
                name, ColumnTally(*forms, missing, missing=rows)
            )  # a JSON member may first appear in a later block
        for name, tally in tallies.items():
            sampled = rows < min(sampled_rows, SAMPLED_CELLS // len(tallies))
            tally.add(block.get(name, [None] * size), sampled=sampled)
        rows += size
    types = _parquet_kinds(path)
    return [_make_column(name, tally, rows, types.get(name)) for name, tally in tallies.items()]


def _read_blocks(path: Path, dialect: Dialect | None) -> Iterator[dict[str, list[Any]]]:
    (path,) = table.find_files(path.parent, [path.name], "a table: CSV, TSV, JSON lines or Parquet", folders=True)
    match read_table.table_format(path):
        case "parquet":
            return (block for part in parquet.part_files(path) for block in _parquet_blocks(part, path))
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


def _parquet_blocks(part: Path, path: Path) -> Iterator[dict[str, list[Any]]]:
    return parquet.read_blocks(part, folders=parquet.partition_cells(part, path))


def _parquet_kinds(path: Path) -> dict[str, str]:
    if read_table.table_format(path) != "parquet":
        return {}
    return {name: kind for part in parquet.part_files(path)[:1] for name, kind in parquet.column_kinds(part).items()}


def _make_column(name: str, tally: ColumnTally, rows: int, type_: str | None) -> Column:
    # A list's type need not have a length: for "float[]" it is that of the values.
    kind = _choose_kind(tally) if type_ in (None, "float[]") else type_
    number = kind in ("int", "float")
    date = kind == "bytes" and tally.date
    odd = tally.no_numbers if number else tally.no_dates if date else OddCells()
    missing = tally.missing + (odd.count + tally.blank if number or date else 0)
    if kind == "int" and missing:
        kind = "float"
    apart = {*odd.texts, *tally.blanks} if number else set(odd.texts)
    distinct = min(tally.sketch.count - len(apart), tally.present)
    values = tuple(text for text in tally.values if text not in apart)
    free = kind == "bytes" and not date and _is_free_text(tally, distinct)
    return Column(
        name,
        kind,
        rows,
        missing,
        distinct,
        values if len(tally.values) <= MAX_VALUES else (),
        date,
        free,
        figures=kind == "bytes" and not date and tally.figures and tally.present > 0,
        measure=kind == "bytes" and not date and tally.measured.all,
        with_unit=kind == "bytes" and not date and tally.with_units.all,
        truth=kind == "bytes" and truth.are_truth_values(values),
        odd=tuple((odd.texts + (tally.blanks if number else Counter())).most_common()),
        code=kind == "bytes" and tally.absent["NA"] > 0 and bool(values) and all(map(CODE.fullmatch, values)),
        no_numbers=tally.no_numbers.count if kind == "bytes" and not date and _is_mixed(tally) else 0,
        constant=distinct <= 1 and not tally.nested,
        id_like=not (date or free) and _is_id(name, kind, tally, distinct),
        time_form="" if date or tally.nested else describe_form(name, values),
        time_part="" if date or tally.nested else find_part(name, values),
    )


def _choose_kind(tally: ColumnTally) -> str:
    if tally.nested:
        (length,) = tally.lengths if len(tally.lengths) == 1 and not tally.values else (-1,)
        return f"float[{length}]" if length > 0 else ""
    if not tally.number:
        return "bytes"
    return "int" if tally.integer else "float"


def _is_mixed(tally: ColumnTally) -> bool:
    """Whether most cells are numbers, but not nearly all; digits that begin with 0 are codes, as all then are."""
    codes = all(map(is_code, tally.no_numbers.texts))
    return not (tally.nested or codes) and tally.no_numbers.count < MIXED_SHARE * (tally.present - tally.blank)


def _is_free_text(tally: ColumnTally, distinct: int) -> bool:
    return tally.words >= text.FREE_WORDS * tally.present and distinct > FREE_SHARE * tally.present and distinct > 1


def _is_id(name: str, kind: str, tally: ColumnTally, distinct: int) -> bool:
    """Returns whether values are distinct names, or integers that increase from row to row or are named an id.

    A column without a name that numbers the rows is one, also where the rows were shuffled or put together.
    """
    if tally.present < ID_ROWS:
        return False
    whole = tally.integer and kind in ("int", "float") and not tally.blank and not tally.no_numbers.count
    if whole and UNNAMED.fullmatch(name):
        return distinct >= ID_SHARE * tally.present or tally.steps >= FREE_SHARE * tally.present
    if distinct < ID_SHARE * tally.present:
        return False
    return kind == "bytes" or (whole and (tally.rising or bool(ID_NAME.search(name))))
