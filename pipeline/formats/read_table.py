"""Reads the rows of a table of any format, each with its place in the file for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.formats import csv, jsonl, parquet, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JSON_LINES = (".jsonl", ".ndjson", ".json")


def read_rows(path: Path, names: list[str]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yields place ("line 7"), cells by column, and fault of each row; a short row lacks its last cells.

    Args:
        path: CSV or TSV, or JSON lines (both plain or .gz), or a Parquet file or a folder of such files.
        names: Columns to read.

    Raises:
        PipelineError: A column is missing, or the file is damaged.
    """
    ending = (path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix).lower()
    if path.is_dir() or ending == ".parquet":
        return _parquet_rows(path, names)
    return _json_rows(path) if ending in JSON_LINES else _csv_rows(path, names)


def _parquet_rows(path: Path, names: list[str]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for part in parquet.part_files(path):
        table.require_columns(part, names, parquet.column_kinds(part))
        inside = f"{part.name} " if path.is_dir() else ""
        for number, row in enumerate(parquet.read_rows(part, names), 1):
            yield f"{inside}row {number}", row, ""


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for number, row, fault in jsonl.read_rows(path):  # any object may lack any member
        yield f"line {number}", row, fault


def _csv_rows(path: Path, names: list[str]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    lines = csv.read_rows(path)
    header = next(lines)[1]
    table.require_columns(path, names, header)
    for number, cells, fault in lines:
        yield f"line {number}", dict(zip(header, cells, strict=False)), fault
