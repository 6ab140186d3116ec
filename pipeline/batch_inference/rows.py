"""Reads rows of a file or folder as inputs of a signature, and predicts them.

Each row keeps its number and place, so that a prediction can be traced back to it. A batch that fails because of its
rows is halved until the faulty rows are alone.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.batch_inference.columns import DATE_FORMS, FILE_COLUMN
from pipeline.errors import UsageError
from pipeline.features import types
from pipeline.formats import read_table, table
from pipeline.formats.folders import is_hidden
from pipeline.tables.dialect import broken_words, is_broken, plain_number
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from pipeline.batch_inference.columns import InputColumns
    from pipeline.tables.dialect import Dialect


# Raised by the readers of a cell for a value of another kind.
CELL_FAILURES = (ValueError, TypeError, OverflowError, OSError)
MAX_CELL_CHARACTERS = 60


@dataclass(frozen=True)
class Row:
    """One row of a file, or one file of a folder.

    Attributes:
        number: 0 for the first.
        place: Its place for messages: "line 7", "row 7", or a file's name.
        cells: Its values by column, as read from the file.
        fault: Why it cannot be read; empty if it can.
    """

    number: int
    place: str
    cells: Mapping[str, Any]
    fault: str = ""


def read_rows(path: Path, only: str = "", dialect: Dialect | None = None) -> Iterator[Row]:
    """Yields the rows in their order.

    Args:
        path: CSV, TSV, JSON lines (all plain or .gz), Parquet, a folder of Parquet files, or a folder of other files.
        only: For a folder of files: name of the input that gets each file's path.
        dialect: How a CSV file is written.

    Raises:
        UsageError: There is no such file, or its format is not known.
        PipelineError: The file is damaged.
    """
    encoding = dialect.named_encoding if dialect else ""
    for number, (place, cells, fault) in enumerate(_choose_reader(path, dialect)(path, only)):
        yield Row(number, place, cells, fault or find_broken(cells, encoding))


def find_broken(cells: Mapping[str, Any], encoding: str) -> str:
    """Says what is wrong with a text that the output could not hold: bytes of another encoding."""
    texts = ((name, cell) for name, cell in cells.items() if isinstance(cell, str) and not cell.isascii())
    broken = (f"column {name} is {broken_words(cell, encoding)}" for name, cell in texts if is_broken(cell))
    return next((f"{words}; see --encoding" for words in broken), "")


def _choose_reader(
    path: Path, dialect: Dialect | None
) -> Callable[[Path, str], Iterator[tuple[str, Mapping[str, Any], str]]]:
    if path.is_dir() and not any(path.rglob("*.parquet")):
        return _list_files
    if path.is_dir() or (path.is_file() and read_table.table_format(path)):
        return lambda path, _: read_table.read_rows(path, dialect=dialect)
    raise UsageError(
        f"{path} cannot be read row by row.",
        expected=f"a folder, or {read_table.EXPECTED_FILE}",
        received=path.name if path.exists() else "nothing at that path",
        action="name an existing file with --file",
    )


def _list_files(path: Path, only: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    if not only:
        raise UsageError(
            f"The files in {path} cannot be assigned to the model's inputs.",
            expected="a model with one input, such as image_bytes",
            received="a folder of files for a model with several",
            action="write the rows into a CSV, JSON lines or Parquet file with one column for each input",
        )
    names = (str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    for name in sorted(name for name in names if not is_hidden(name)):
        yield name, {FILE_COLUMN: name}, ""


def make_inputs(
    row: Row, columns: InputColumns, folder: Path, dialect: Dialect | None = None
) -> tuple[dict[str, Any], str]:
    """Returns values by input, or the reason why the row has none.

    Args:
        row: The row.
        columns: The model's inputs.
        folder: Base of relative paths in cells of `…_bytes` inputs.
        dialect: How the file writes numbers.
    """
    if row.fault:
        return {}, row.fault
    values = {}
    sources = columns.sources(row.cells)
    for name, declared in columns.kinds.items():
        if name not in sources and name in columns.optional:
            values[name] = types.MISSING_VALUES[declared]
            continue
        if name not in sources:
            return {}, f"there is no column {columns.trained.get(name, name)}"
        column, cell = sources[name], row.cells[sources[name]]
        try:
            is_content = column == FILE_COLUMN or name.endswith("_bytes")
            values[name] = _read_content(cell, folder) if is_content else _parse_cell(cell, declared, columns, dialect)
        except CELL_FAILURES as error:
            return {}, f"column {column} is no {declared}: {repr(cell)[:MAX_CELL_CHARACTERS]} ({_fault_reason(error)})"
        if columns.is_no_date(name, values[name]):
            return {}, f"column {column} is no date: {repr(cell)[:MAX_CELL_CHARACTERS]} (write {DATE_FORMS})"
    return values, ""


def _parse_cell(cell: Any, declared: str, columns: InputColumns, dialect: Dialect | None) -> Any:
    if declared in types.MISSING_VALUES and columns.is_missing(cell, declared):
        return types.MISSING_VALUES[declared]
    size = types.parse_kind(declared)[1]
    if dialect and isinstance(cell, str) and declared in ("int", "float"):
        cell = plain_number(cell, dialect.decimal, dialect.thousands)
    return table.to_vector(cell, size).reshape(size) if size else table.to_value(cell, declared)


def _read_content(cell: Any, folder: Path) -> bytes:
    """Returns bytes unchanged, {"b64": text} decoded as in REST, or the content of the file that a text names."""
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, dict) and set(cell) == {"b64"}:
        return base64.b64decode(cell["b64"], validate=True)
    return (folder / cell).read_bytes()


def _fault_reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return "no base64" if isinstance(error, binascii.Error) else "another kind of value"


def predict_rows(
    inputs: Sequence[Mapping[str, Any]], predict: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
) -> Iterator[Mapping[str, Any] | str]:
    """Yields for each row its prediction, or the reason why there is none.

    A batch that fails because of its rows is halved until the faulty rows are alone.

    Args:
        inputs: For each row its values by input, at least one row.
        predict: Takes arrays (batch, …) by input and returns arrays (batch, …) by output.

    Raises:
        ServingError: The model cannot be reached.
    """
    try:
        outputs = predict({name: [row[name] for row in inputs] for name in inputs[0]})
    except InvalidArgument as error:
        if len(inputs) == 1:
            yield error.short_message
            return
        half = len(inputs) // 2
        yield from predict_rows(inputs[:half], predict)
        yield from predict_rows(inputs[half:], predict)
    else:
        for place in range(len(inputs)):
            yield {name: values[place] for name, values in outputs.items()}
