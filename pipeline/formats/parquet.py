"""Parquet files, read by row groups."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats import table
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from pipeline.formats.base import Example

EXPECTED = "a Parquet file, or a folder of .parquet files"
BATCH_ROWS = 4096  # that are held at a time, at most
NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Parquet:
    """Parquet files. Raw inputs are the declared columns; other columns are not read. Null and NaN are missing values.

    Args:
        path: File, or folder of `.parquet` files with the same columns, absolute or under the data folder. Folders
            named `COLUMN=VALUE` are a column, too.
        columns: Kind of each input column: "float", "int", "bytes" (text, dates), or "float[n]" for lists of numbers.
        label: Column of the label.
        classes: Declared classes; empty if the label is a number.
        test: A second file or folder, the official test set; then `path` has the training rows.
        extra: Kind of other columns, which clients do not send, for `Group` splits and slices.
        time: Column with the date of each row, for `Time` splits.
        missing: Texts that mean a missing value.
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    test: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = MISSING_TEXTS

    @property
    def inputs(self) -> dict[str, str]:
        """The declared columns."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """Returns the file or folder, and the official test set if there is one.

        Raises:
            PipelineError: There is no such file.
        """
        return table.find_files(data, (self.path, self.test), EXPECTED, folders=True)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the rows in the order of the files, the files of a folder by name.

        Raises:
            PipelineError: A declared column is missing or has another type, or a file is damaged.
        """
        layout = table.Layout.from_table(self)
        for path, split in table.assign_splits(self.files(data), self.test):
            for file in part_files(path):
                folders = partition_cells(file, path)
                _check_columns(file, layout, folders)
                for number, row in enumerate(read_rows(file, layout.names, folders), 1):
                    yield layout.example(f"{file} row {number}", row, split)


def part_files(path: Path) -> list[Path]:
    """Returns the file, or the `.parquet` files below a folder by name; none that is hidden, nor in a hidden folder."""
    if not path.is_dir():
        return [path]
    files = sorted(path.rglob("*.parquet"))
    return [file for file in files if not any(part[0] in "._" for part in file.relative_to(path).parts)]


def partition_cells(path: Path, folder: Path) -> dict[str, Any]:
    """Returns the columns that the folders of a file name: `site=north/year=2024/part.parquet`.

    Args:
        path: The file.
        folder: The data set's folder, or the file itself: then the folders right above it count.
    """
    above = itertools.takewhile(lambda part: "=" in part, reversed(path.absolute().parts[:-1]))
    parts = path.relative_to(folder).parts[:-1] if path != folder else list(above)
    pairs = [unquote(part).partition("=") for part in parts if "=" in part]
    cells = {name: None if text == NO_PARTITION else _partition_value(text) for name, _, text in pairs}
    own = column_kinds(path) if cells and path == folder else {}
    return {name: value for name, value in cells.items() if name not in own}


def _partition_value(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?(0|[1-9]\d{0,17})", text, re.ASCII) else text  # 007 is a code


def _check_columns(path: Path, layout: table.Layout, folders: Mapping[str, Any]) -> None:
    types = dict.fromkeys(folders, "bytes") | column_kinds(path)
    layout.check(path, types)
    for name, kind in layout.kinds.items():
        # Text may contain numbers, and integers are numbers; a list is never a single value.
        if not types[name] or types[name].startswith("float[") != kind.startswith("float["):
            raise PipelineError(
                f"The column {name} of {path} has another type than the recipe declares.",
                expected=kind,
                received=types[name] or "nested values, which no feature can have",
                action="correct the column's kind in the recipe, or remove the column from it",
            )


def read_rows(path: Path, names: Collection[str], folders: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file in order, with the values of some columns, and of those that its folders name."""
    for block in read_blocks(path, names, folders):
        for cells in zip(*block.values(), strict=True):
            yield dict(zip(block, cells, strict=True))


def column_kinds(path: Path) -> dict[str, str]:
    """Returns the kind of each column by the file's schema; empty for nested values, which no feature can have."""
    return {field.name: _to_kind(field.type) for field in read_schema(path)}


def read_schema(path: Path) -> pa.Schema:
    """Reads names and types of a file's columns.

    Raises:
        PipelineError: The file is damaged.
    """
    return _open_file(path).schema_arrow


def _to_kind(type_: pa.DataType) -> str:
    from pyarrow import types

    if types.is_dictionary(type_):
        return _to_kind(type_.value_type)
    if types.is_integer(type_):
        return "int"
    if types.is_floating(type_) or types.is_decimal(type_):
        return "float"
    if types.is_fixed_size_list(type_) or types.is_list(type_) or types.is_large_list(type_):
        size = type_.list_size if types.is_fixed_size_list(type_) else ""
        return f"float[{size}]" if _to_kind(type_.value_type) in ("int", "float") else ""
    return "" if types.is_nested(type_) else "bytes"


def read_blocks(
    path: Path, names: Collection[str] = (), folders: Mapping[str, Any] | None = None
) -> Iterator[dict[str, list[Any]]]:
    """Yields the rows as columns, some thousand at a time.

    Args:
        path: File.
        names: Columns to read; all if empty.
        folders: Columns that the file's folders name; where the file has one, too, it has to say the same.

    Raises:
        PipelineError: The file is damaged, or contradicts its folders.
    """
    import pyarrow as pa

    file = _open_file(path)
    try:
        own = file.schema_arrow.names
        further = {name: cell for name, cell in (folders or {}).items() if name not in own}
        wanted = [name for name in names if name not in further] if names else None
        rows = table.block_rows(len(own if wanted is None else wanted), BATCH_ROWS)
        for batch in file.iter_batches(rows, columns=wanted):
            cells = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            _check_folders(path, cells, folders or {})
            there = {name: [cell] * batch.num_rows for name, cell in further.items() if not names or name in names}
            yield cells | there
    except (pa.ArrowException, OSError) as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _check_folders(path: Path, cells: Mapping[str, list[Any]], folders: Mapping[str, Any]) -> None:
    for name in folders.keys() & cells.keys():
        for value in cells[name]:
            if not _means(folders[name], value):
                raise PipelineError(
                    f"The column {name} of {path} is not what the file's folder says.",
                    expected=f"{folders[name]}, as in the name of the folder",
                    received=f"{value}",
                    action=f"rename the folder, or remove the column {name} from the file",
                )


def _means(folder: Any, value: Any) -> bool:
    """Whether a folder's name, such as 01 or 2024-01-31, means a value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return re.fullmatch(r"[-+]?\d+(\.\d*)?", str(folder)) is not None and float(folder) == value
    return str(value).casefold() in {str(folder).casefold(), f"{folder} 00:00:00"}


def _open_file(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable_file(path, EXPECTED, error) from error
    names = file.schema_arrow.names
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise PipelineError(
            f"{path} has several columns of one name, and which of them is meant is not known.",
            expected="each name once",
            received=", ".join(twice),
            action="rename them, or write the file again without the others",
        )
    return file
