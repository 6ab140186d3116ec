"""The cells of a row as the inputs of a signature."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from pipeline.bulk.source import FILE
from pipeline.datasets import kind, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.bulk.source import Row
    from serving.core.signature import TensorInfo

# What the readers of a cell raise about a value of another kind.
FAILURES = (ValueError, TypeError, OverflowError, OSError)
SHOWN_CHARACTERS = 60


def kinds(inputs: Mapping[str, TensorInfo]) -> dict[str, str]:
    """The kind of each input, as a recipe would declare it."""
    return {name: _kind(info) for name, info in inputs.items()}


def _kind(info: TensorInfo) -> str:
    name = "bytes" if info.dtype.name == "string" else "int" if "int" in info.dtype.name else "float"
    sizes = (info.shape or ())[1:]
    return f"{name}[{','.join(map(str, sizes))}]" if sizes else name


def question(row: Row, wanted: Mapping[str, str], folder: Path) -> tuple[dict[str, Any], str]:
    """Values by input, or the reason why the row has none.

    Args:
        row: The row.
        wanted: Kind of each input.
        folder: What paths in cells of `…_bytes` inputs are relative to.
    """
    if row.fault:
        return {}, row.fault
    found = {}
    for name, declared in wanted.items():
        column = FILE if FILE in row.cells and name not in row.cells and len(wanted) == 1 else name
        if column not in row.cells:
            return {}, f"there is no column {name}"
        try:
            is_content = column == FILE or name.endswith("_bytes")
            found[name] = _content(row.cells[column], folder) if is_content else _value(row.cells[column], declared)
        except FAILURES as error:
            shown = repr(row.cells[column])[:SHOWN_CHARACTERS]
            return {}, f"column {column} is no {declared}: {shown} ({_reason(error)})"
    return found, ""


def _value(cell: Any, declared: str) -> Any:
    if declared in kind.MISSING and table.is_missing(cell):
        return kind.MISSING[declared]
    size = kind.split(declared)[1]
    return table.vector(cell, size).reshape(size) if size else table.value(cell, declared)


def _content(cell: Any, folder: Path) -> bytes:
    """Bytes as they are, {"b64": text} as in REST, or the content of the file that a text names."""
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, dict) and set(cell) == {"b64"}:
        return base64.b64decode(cell["b64"], validate=True)
    return (folder / cell).read_bytes()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return "no base64" if isinstance(error, binascii.Error) else "another kind of value"
