"""Reads the rows of a table of any format, each with its place in the file for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.formats import csv, jsonl, parquet, table
from pipeline.tables import sniff
from pipeline.tables.dialect import plain_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.tables.dialect import Dialect

FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".data"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json", ".geojson"), "jsonl"),
    ".parquet": "parquet",
}
EXPECTED_FILE = f"a file ending in {', '.join(FORMATS)}; all but .parquet also with .gz"


def table_format(path: Path) -> str:
    """Returns "csv", "jsonl" or "parquet" by the ending, also for a path that does not exist; empty if not known.

    A folder is one of Parquet files.
    """
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return "parquet" if path.is_dir() else FORMATS.get(name.suffix.lower(), "")


def read_rows(
    path: Path, names: Sequence[str] = (), dialect: Dialect | None = None
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yields place ("line 7"), cells by column, and fault of each row; the cells that a short row lacks are None.

    Args:
        path: CSV or TSV, or JSON lines (both plain or .gz), or a Parquet file or a folder of such files. A file with
            another ending is read as CSV.
        names: Columns that the table must have; of Parquet no others are read. All if empty. With names, numbers of a
            CSV file come as Python writes them; without, as they are.
        dialect: What is known of how a CSV file is written.

    Raises:
        PipelineError: A column is missing, or the file is damaged.
    """
    readers = {"parquet": _parquet_rows, "jsonl": _json_rows}
    kind = table_format(path)
    return readers[kind](path, names) if kind in readers else _csv_rows(path, names, dialect)


def _parquet_rows(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for part in parquet.part_files(path):
        folders = parquet.partition_cells(part, path)
        table.require_columns(part, names, {**folders, **parquet.column_kinds(part)})
        inside = f"{part.name} " if path.is_dir() else ""
        for number, row in enumerate(parquet.read_rows(part, names, folders), 1):
            yield f"{inside}row {number}", row, ""


def _json_rows(path: Path, _: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    yield from jsonl.read_rows(path)  # any object may lack any member


def _csv_rows(
    path: Path, names: Sequence[str], dialect: Dialect | None
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    complete = sniff.complete(path, dialect, names) if path.is_file() else dialect
    lines = csv.read_rows(path, complete)
    header = next(lines)[1]
    table.require_columns(path, names, header)
    form = (complete.decimal, complete.thousands) if complete and names else ("", "")
    for number, cells, fault in lines:
        plain = [plain_number(cell, *form) for cell in cells] if any(form) else cells
        lacking = [None] * (len(header) - len(plain))
        yield f"line {number}", dict(zip(header, [*plain, *lacking], strict=False)), fault
