"""Rows of a file or folder as they stand, each with its number, so that an answer can be led back to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.datasets import csv, jsonl, parquet, table
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TEXTS = (".csv", ".tsv", ".txt", ".data")
LINES = (".jsonl", ".ndjson", ".json")
FILE = "file"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        number: 0 for the first.
        place: Where it stands, for a person: "line 7", "row 7", or a file's name.
        cells: Its values by column, as the format has them.
        fault: Why it cannot be read; empty if it can.
    """

    number: int
    place: str
    cells: Mapping[str, Any]
    fault: str = ""


def rows(path: Path, only: str = "") -> Iterator[Row]:
    """The rows in their order.

    Args:
        path: CSV, TSV, JSON lines (all plain or .gz), Parquet, a folder of Parquet files, or a folder of other files.
        only: For a folder of files: the name of the input that gets each file's path.

    Raises:
        UsageError: There is no such file, or its format is not known.
        PipelineError: The file is damaged.
    """
    for number, (place, cells, fault) in enumerate(_reader(path)(path, only)):
        yield Row(number, place, cells, fault)


def suffix(path: Path) -> str:
    """The ending that tells the format, without `.gz`."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _reader(path: Path) -> Callable[[Path, str], Iterator[tuple[str, Mapping[str, Any], str]]]:
    if path.is_dir():
        return _parquet if any(path.glob("*.parquet")) else _files
    ending = suffix(path)
    if path.is_file() and (ending in (*TEXTS, *LINES, ".parquet")):
        return _csv if ending in TEXTS else _jsonl if ending in LINES else _parquet
    raise UsageError(
        f"{path} cannot be read row by row.",
        expected=f"a folder, or a file that ends in {', '.join((*TEXTS, *LINES))} (also with .gz) or .parquet",
        received=path.name if path.exists() else "nothing at that path",
        action="name an existing file with --file",
    )


def _csv(path: Path, _: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    lines = csv.rows(path)
    header = next(lines)[1]
    for line, cells, fault in lines:
        yield f"line {line}", dict(zip(header, cells, strict=False)), fault


def _jsonl(path: Path, _: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for line, cells, fault in jsonl.rows(path):
        yield f"line {line}", cells, fault


def _parquet(path: Path, _: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    number = 0
    for part in parquet.parts(path):
        for block in parquet.blocks(part):
            for cells in zip(*block.values(), strict=True):
                yield f"row {number}", dict(zip(block, cells, strict=True)), ""
                number += 1


def _files(path: Path, only: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    if not only:
        raise UsageError(
            f"The files in {path} cannot be led to the model's inputs.",
            expected="a model with one input, such as image_bytes",
            received="a folder of files for a model with several",
            action="write the rows into a CSV, JSON lines or Parquet file with one column for each input",
        )
    for file in sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")):
        name = str(file.relative_to(path))
        yield name, {FILE: name}, ""


def missing(value: Any) -> bool:
    """Whether a cell is empty, as in training data."""
    return table.is_missing(value)
