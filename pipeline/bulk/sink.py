"""The parts of a job become one file: Parquet, CSV, TSV or JSON lines, as its name says."""

from __future__ import annotations

import base64
import csv
import json
from typing import TYPE_CHECKING, Any

from pipeline import atomic
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
ENDINGS = (*DELIMITERS, *LINES, ".parquet")


def check(out: Path) -> None:
    """Raises a UsageError when the format cannot be told by the name."""
    if out.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"The format of {out} is not known by its ending.", expected=", ".join(ENDINGS), received=out.name
        )


def write(out: Path, tables: Iterable[Path], schema: pa.Schema) -> None:
    """Writes all parts as one file, which appears whole."""
    with atomic.file(out) as beside:
        _writer(out.suffix.lower())(beside, tables, schema)


def _writer(ending: str) -> Callable[[Path, Iterable[Path], pa.Schema], None]:
    if ending in DELIMITERS:
        return lambda path, tables, schema: _csv(path, tables, schema, DELIMITERS[ending])
    return _jsonl if ending in LINES else _parquet


def _parquet(path: Path, tables: Iterable[Path], schema: pa.Schema) -> None:
    from pyarrow.parquet import ParquetWriter, read_table

    with ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(read_table(table, schema=schema))


def _csv(path: Path, tables: Iterable[Path], schema: pa.Schema, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(schema.names)
        for row in _rows(tables):
            writer.writerow([_cell(value) for value in row.values()])


def _jsonl(path: Path, tables: Iterable[Path], schema: pa.Schema) -> None:  # noqa: ARG001  (each writer takes it)
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(tables):
            file.write(json.dumps({name: _json(value) for name, value in row.items()}, default=str) + "\n")


def _rows(tables: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    from pyarrow.parquet import ParquetFile

    for table in tables:
        for batch in ParquetFile(table).iter_batches():
            yield from batch.to_pylist()


def _cell(value: Any) -> Any:
    found = _json(value)
    return json.dumps(found) if isinstance(found, (list, dict)) else found


def _json(value: Any) -> Any:
    """Bytes as REST has them."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
