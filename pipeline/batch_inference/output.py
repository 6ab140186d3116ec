"""Writes the output of a batch job: the columns of the rows unchanged, then those of the predictions, as one file.

The suffix of its name says the format: Parquet, CSV, TSV or JSON lines. In Parquet a picture is the content of a cell;
in the others a cell has the path of its file, which is in a folder next to the output.
"""

from __future__ import annotations

import base64
import csv
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.features import image
from pipeline.formats import parquet
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from pipeline.batch_inference.columns import InputColumns
    from pipeline.batch_inference.rows import Row
    from serving.core.signature import TensorInfo


DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_SUFFIXES = (".jsonl", ".ndjson")
RENAMED_OUTPUT = "predicted_{}"
ANSWERS = ("label", "value")  # outputs that say the target
PICTURE_NAME = re.compile(r"\d+-[0-9A-Za-z_-]+_bytes\.(png|jpg|gif|bmp|webp)")
OUTPUT_SUFFIXES = (*DELIMITERS, *JSON_SUFFIXES, ".parquet")


def check_format(out: Path) -> None:
    """Raises a UsageError if the suffix of the name is not a known format, or its pictures cannot lie next to it."""
    if out.suffix.lower() not in OUTPUT_SUFFIXES:
        raise UsageError(
            f"The format of {out} is not known by its ending.",
            expected=", ".join(OUTPUT_SUFFIXES),
            received=out.name,
            action="give --out another ending",
        )
    folder = pictures_folder(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"There is a file {folder.name} next to {out}.",
            expected="a folder for pictures, or nothing",
            received="a file",
            action="move the file, or give --out another name",
        )


def write_output(out: Path, tables: Iterable[Path], schema: pa.Schema) -> Path | None:
    """Writes all parts as one file, atomically, and before it the pictures that it names.

    Returns:
        The folder of the pictures; None if there are none. Those of an earlier output are gone.
    """
    ending, pictures = out.suffix.lower(), pictures_folder(out)
    written: set[str] = set()
    with fileio.replace_file(out) as temporary:
        if ending in DELIMITERS:
            _write_csv(temporary, _iterate_rows(tables, pictures, written), schema, DELIMITERS[ending])
        elif ending in JSON_SUFFIXES:
            _write_jsonl(temporary, _iterate_rows(tables, pictures, written))
        else:
            _write_parquet(temporary, tables, schema)
    for file in pictures.glob("*"):
        if file.name not in written and PICTURE_NAME.fullmatch(file.name):
            file.unlink()
    return pictures if written else None


def pictures_folder(out: Path) -> Path:
    """Returns the folder of the pictures of an output."""
    return out.with_name(f"{out.name}-pictures")


def _write_parquet(path: Path, tables: Iterable[Path], schema: pa.Schema) -> None:
    from pyarrow.parquet import ParquetWriter, read_table

    with ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(read_table(table, schema=schema))


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(schema.names)
        for row in rows:
            writer.writerow([_csv_cell(value) for value in row.values()])


def _write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({name: _json_cell(value) for name, value in row.items()}, default=str) + "\n")


def _iterate_rows(tables: Iterable[Path], pictures: Path, written: set[str]) -> Iterator[Mapping[str, Any]]:
    """Yields the rows of all parts; a picture is written to a folder, and its path takes its place."""
    from pyarrow.parquet import ParquetFile

    batches = (batch for table in tables for batch in ParquetFile(table).iter_batches())
    for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
        yield {name: _write_picture(name, value, pictures, number, written) for name, value in row.items()}


def _write_picture(name: str, value: Any, folder: Path, row: int, written: set[str]) -> Any:
    ending = image.file_ending(value) if name.endswith("_bytes") else ""
    if not ending:
        return value
    file = folder / f"{row}-{re.sub(r'[^0-9A-Za-z_-]', '_', name)}{ending}"
    with fileio.replace_file(file) as temporary:
        temporary.write_bytes(value)
    written.add(file.name)
    return f"{folder.name}/{file.name}"


def _csv_cell(value: Any) -> Any:
    """Encodes a value as a text; true and false as they are read from Parquet for a class, and as JSON has them."""
    cell = _json_cell(value)
    return json.dumps(cell) if isinstance(cell, (list, dict, bool)) else cell


def _json_cell(value: Any) -> Any:
    """Encodes bytes as in TensorFlow Serving's REST API."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


@dataclass(frozen=True)
class Answer:
    """A column of the output that holds an answer.

    Attributes:
        name: Of the column.
        output: Output of the signature.
        kind: Its type.
        place: Place in the vector that the output is; None for the whole of it.
    """

    name: str
    output: str
    kind: pa.DataType
    place: int | None = None


@dataclass(frozen=True)
class Columns:
    """Names and types of the columns of the output.

    Attributes:
        row_types: Type of each column of the rows. Except from Parquet, values are texts, or JSON if they were none.
        answers: The columns of the answers.
    """

    row_types: Mapping[str, pa.DataType]
    answers: Sequence[Answer]

    @property
    def schema(self) -> pa.Schema:
        """The schema of all columns, in their order."""
        import pyarrow as pa

        return pa.schema([*self.row_types.items(), *((answer.name, answer.kind) for answer in self.answers)])

    def row(self, row: Row, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Returns one row of the output."""
        import pyarrow as pa

        texts = {name for name, kind in self.row_types.items() if kind == pa.string()}
        cells = {name: _to_text(value) if name in texts else value for name, value in row.cells.items()}
        outputs = {}
        for column in self.answers:
            value = answer[column.output]
            outputs[column.name] = _to_plain(value if column.place is None else value[column.place], column.kind)
        return {name: cells.get(name) for name in self.row_types} | outputs


def infer_columns(
    path: Path, first: Mapping[str, Any], outputs: Mapping[str, TensorInfo], columns: InputColumns
) -> Columns:
    """Returns the columns for a file whose first row has these cells.

    The answer is `predicted_TARGET`, a probability `probability_CLASS`; another output keeps its name.
    """
    import pyarrow as pa

    typed = parquet.read_schema(parquet.part_files(path)[0]) if _is_parquet(path) else None
    row_types = {name: typed.field(name).type if typed and name in typed.names else pa.string() for name in first}
    taken = set(row_types)
    answers = []
    for answer in (answer for name, info in outputs.items() for answer in _answer_columns(name, info, columns)):
        name = RENAMED_OUTPUT.format(answer.name) if answer.name in taken else answer.name
        while name in taken:
            name += "_2"
        taken.add(name)
        answers.append(replace(answer, name=name))
    return Columns(row_types, answers)


def _answer_columns(name: str, info: TensorInfo, columns: InputColumns) -> list[Answer]:
    kind = _arrow_type(name, info)
    if name in ANSWERS and columns.target:
        return [Answer(RENAMED_OUTPUT.format(columns.target), name, kind)]
    if name == "probabilities" and columns.classes and (info.shape or ())[1:] in ((-1,), (len(columns.classes),)):
        return [Answer(f"probability_{label}", name, kind.value_type, i) for i, label in enumerate(columns.classes)]
    return [Answer(name, name, kind)]


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet" or (path.is_dir() and any(path.rglob("*.parquet")))


def _arrow_type(name: str, info: TensorInfo) -> pa.DataType:
    import pyarrow as pa

    kind = pa.binary() if name.endswith("_bytes") else pa.string()
    if info.dtype.name != "string":
        kind = pa.from_numpy_dtype(info.dtype.numpy) if info.dtype.numpy is not None else pa.float32()
    for _ in (info.shape or ())[1:]:
        kind = pa.list_(kind)
    return kind


def _to_text(cell: Any) -> str | None:
    return cell if cell is None or isinstance(cell, str) else json.dumps(cell)


def _to_plain(value: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa

    items = value.tolist() if hasattr(value, "tolist") else value
    return _decode(items) if pa.types.is_string(_innermost_type(kind)) else items


def _innermost_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    while pa.types.is_list(kind):
        kind = kind.value_type
    return kind


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
