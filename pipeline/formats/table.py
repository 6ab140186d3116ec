"""Rows of a table: converts texts or values by column to an `Example`, or to the reason why that is impossible.

Used by CSV, JSON lines, Parquet, TFRecord and generators. A missing value is absent from the example: the graph gets
NaN, b"" or 0 instead, so a column of integers that may be missing is declared "float". A vector is never absent; null
and NaN inside it are missing, and a row with null instead of a vector is unusable.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from pipeline.errors import PipelineError
from pipeline.features import dates, types
from pipeline.formats.base import Example
from pipeline.tables.dialect import broken_words, is_broken, plain_number
from pipeline.tables.number_forms import MISSING_TEXTS
from pipeline.tables.spelling import Spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pipeline.formats.base import Value

# What people and programs write for a number that is not there, in any case; in a column of texts it may be a name.
NO_NUMBERS = {
    *("n/a", "n.a.", "na", "n/d", "nd", "none", "nil", "null", "nan", "<na>", "missing", "unknown", "not available"),
    *("-", "--", "---", "\u2013", "\u2014", ".", "..", "..."),
    *("#n/a", "#na", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"),
}
INT64 = 2**63
FLOAT32 = (2 - 2**-23) * 2.0**127  # the largest number of a feature
BLOCK_ROWS, BLOCK_CELLS = 8192, 1_000_000  # that a reader holds at a time; whichever are fewer
MAX_SHOWN = 40
# Errors that the constructors below raise for a value of another kind. UnicodeEncodeError is a ValueError.
FAILURES = (ValueError, TypeError, OverflowError)
PLAIN = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)  # most cells of most tables: read without further checks


class TableDeclaration(Protocol):
    """The declaration of a table: see `pipeline.formats.csv.Csv`."""

    @property
    def columns(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def extra(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def time(self) -> str: ...  # noqa: D102
    @property
    def missing(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Layout:
    """Converts rows to examples.

    Attributes:
        kinds: Kind of each column that is read, including the label.
        label: Column of the label, which every row must have.
        missing: Texts that mean a missing value.
        time: Column of the time of a row; empty if there is none.
        decimal: What begins the decimals in texts of numbers; "." if empty.
        thousands: What groups digits there, if anything.
        spellings: The declared classes. One of them is no missing value, even if it is called NA.
        encoding: That is named for the file, for messages; empty if none is.
    """

    kinds: Mapping[str, str]
    label: str
    missing: frozenset[str]
    time: str = ""
    decimal: str = ""
    thousands: str = ""
    spellings: Spellings = field(default_factory=lambda: Spellings(()))
    encoding: str = ""

    @classmethod
    def from_table(cls, data: TableDeclaration) -> Layout:
        """Returns the layout that a table declares: inputs, extra columns, and the label as text or as a number."""
        kinds = {**data.columns, **data.extra}
        kinds[data.label] = "bytes" if data.classes else kinds.get(data.label, "float")
        _require_kinds(kinds)
        written = {name: getattr(data, name, "") for name in ("decimal", "thousands", "encoding")}  # of texts only
        spellings = Spellings(tuple(data.classes))
        return cls(kinds, data.label, frozenset(data.missing), data.time, spellings=spellings, **written)

    @property
    def names(self) -> list[str]:
        """The columns that a table must have."""
        return list(dict.fromkeys([*self.kinds, *([self.time] if self.time else [])]))

    def check(self, path: Path, columns: Collection[str]) -> None:
        """Raises a PipelineError if a declared column is not in the table."""
        require_columns(path, self.names, columns)

    def example(self, source: str, row: Mapping[str, Any], split: str = "") -> Example:
        """Converts one row; its fault names the first column that does not fit."""
        features: dict[str, Value] = {}
        for name, declared in self.kinds.items():
            raw = row.get(name)
            if declared == "float" and self._is_plain(raw):
                features[name] = float(raw)
            elif declared not in CONSTRUCTORS or not self._is_missing(name, raw, declared):
                try:
                    features[name] = to_value(self._plain(name, raw, declared), declared)
                except FAILURES:
                    return faulty_example(source, split, self._kind_fault(name, raw, declared))
        if self.label not in features:
            return faulty_example(source, split, self._empty_label(row.get(self.label)))
        moment = self._moment(row)
        if moment is None:
            text = repr(row.get(self.time))[:MAX_SHOWN]
            return faulty_example(source, split, f"column {self.time} is not a date: {text}")
        return Example(source, features, split, begins=moment, ends=moment)

    def _is_plain(self, raw: Any) -> TypeGuard[str]:
        """Whether a cell is a number that every dialect reads in the same way."""
        plain = type(raw) is str and PLAIN.fullmatch(raw) is not None and raw not in self.missing
        return plain and not self.thousands and self.decimal != ","

    def _kind_fault(self, name: str, raw: Any, declared: str) -> str:
        if isinstance(raw, str) and is_broken(raw):
            return f"column {name} is {broken_words(raw, self.encoding)}"
        return f"column {name} is not of kind {declared}: {repr(raw)[:MAX_SHOWN]}"

    def _empty_label(self, raw: Any) -> str:
        said = f": {raw!r} means a missing value unless classes= names it" if isinstance(raw, str) and raw else ""
        return f"the label {self.label} is empty{said}"

    def _is_missing(self, name: str, raw: Any, declared: str) -> bool:
        if name == self.label and raw in self.spellings.classes:
            return False
        return is_missing(raw, self.missing) or (declared == "float" and is_no_number(raw))

    def _plain(self, name: str, raw: Any, declared: str) -> Any:
        """The class that a label means, and a number as Python reads it, also where numbers are classes."""
        label = name == self.label and declared == "bytes"
        if isinstance(raw, str) and (declared in ("int", "float") or (label and raw not in self.spellings.classes)):
            raw = plain_number(raw, self.decimal, self.thousands)
        return self.spellings.find_class(to_text(raw).decode()) if label and self.spellings.classes else raw

    def _moment(self, row: Mapping[str, Any]) -> str | None:
        """Returns ISO text that sorts by time; empty without a column of time, None if its value is no date."""
        if not self.time:
            return ""
        raw = row.get(self.time)
        return dates.iso(raw.isoformat() if isinstance(raw, date) else str(raw))


def block_rows(columns: int, most: int = BLOCK_ROWS) -> int:
    """Returns how many rows of so many columns are read at a time."""
    return min(most, BLOCK_CELLS // max(columns, 1) + 1)


def require_columns(path: Path, wanted: Sequence[str], columns: Collection[str]) -> None:
    """Raises a PipelineError if a column is not in a table."""
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise PipelineError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.",
            expected=f"the columns {', '.join(wanted)}",
            received=", ".join(columns) or "an empty file",
            action="add the column to the file, or remove it from the recipe",
        )


def _require_kinds(kinds: Mapping[str, str]) -> None:
    for name, declared in kinds.items():
        if declared not in CONSTRUCTORS and not declared.startswith("float["):
            raise PipelineError(
                f"The column {name} is declared with a kind that does not exist.",
                expected='"bytes", "int", "float" or a shape such as "float[140]"',
                received=declared,
                action="correct the kind in the recipe",
            )


def faulty_example(source: str, split: str, fault: str) -> Example:
    """Returns an unusable row."""
    return Example(source, {}, split, fault)


def is_missing(raw: Any, missing: Collection[str] = MISSING_TEXTS) -> bool:
    """Returns whether a value is missing: null, NaN, one of the texts, or a list or an object with nothing in it."""
    if isinstance(raw, str | list | dict):
        return raw in missing if isinstance(raw, str) else not raw
    if isinstance(raw, float) and math.isinf(raw):
        return str(raw) in missing
    return raw is None or (isinstance(raw, Real) and not isinstance(raw, int) and math.isnan(raw))


def is_no_number(raw: Any) -> bool:
    """Returns whether a text stands for a number that is not there."""
    return isinstance(raw, str) and raw.strip().casefold() in NO_NUMBERS


def to_value(raw: Any, declared: str) -> Value:
    """Converts a value to a feature of a kind.

    Args:
        raw: Text, a number, a boolean, a date, or for "float[n]" numbers in any nesting of lists.
        declared: "bytes", "int", "float" or "float[n]".

    Raises:
        ValueError: The value is not of this kind, or out of range; likewise TypeError and OverflowError.
    """
    return CONSTRUCTORS[declared](raw) if declared in CONSTRUCTORS else to_vector(raw, types.parse_kind(declared)[1])


def to_text(raw: Any) -> bytes:
    """Converts a single value to UTF-8 text; a date to ISO format, a boolean as in JSON."""
    if isinstance(raw, bytes):
        return raw
    if isinstance(raw, list | tuple | Mapping):
        raise TypeError(type(raw).__name__)
    if isinstance(raw, bool):
        return b"true" if raw else b"false"
    return (raw.isoformat() if isinstance(raw, date) else str(raw)).encode()


def _to_int(raw: Any) -> int:
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    number = int(_plain_digits(raw)) if isinstance(raw, str) else operator.index(raw)
    if not -INT64 <= number < INT64:
        raise OverflowError(raw)
    return number


def _to_float(raw: Any) -> float:
    number = float(_plain_digits(raw) if isinstance(raw, str) else raw)
    if not abs(number) <= FLOAT32:
        raise ValueError(raw)
    return number


def _plain_digits(raw: str) -> str:
    if "_" in raw:  # only Python accepts 1_000
        raise ValueError(raw)
    return raw


CONSTRUCTORS: dict[str, Callable[[Any], Value]] = {"bytes": to_text, "int": _to_int, "float": _to_float}


def to_vector(raw: Any, size: tuple[int, ...]) -> Any:
    """Converts numbers to a flat float32 array; null and NaN inside are missing values.

    Raises:
        ValueError: They do not have this shape, flat or nested, or one is infinite.
    """
    import numpy as np

    with np.errstate(over="ignore"):  # too large numbers become infinite
        array = np.asarray(raw, np.float32)
    if array.shape not in (size, (math.prod(size),)) or np.isinf(array).any():
        raise ValueError(array.shape)
    return array.reshape(-1)


def find_files(data: Path, paths: Iterable[str], expected: str, *, folders: bool = False) -> list[Path]:
    """Returns the non-empty paths under the data folder.

    Raises:
        PipelineError: One does not exist, or is a folder instead of a file.
    """
    locations = [data / Path(path).expanduser() for path in paths if path]
    for path in locations:
        if not (path.is_file() or (folders and path.is_dir())):
            raise PipelineError(
                f"There is no file {path}.",
                expected=expected,
                received="a folder" if path.exists() else "nothing at that path",
                action="correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
            )
    return locations


def assign_splits(paths: list[Path], test: str) -> list[tuple[Path, str]]:
    """Returns each file with its split: train and test if there is an official test file, else empty."""
    return list(zip(paths, ("train", "test") if test else ("",), strict=True))


def encode_class(label: Any, classes: tuple[str, ...]) -> bytes:
    """Returns the name of a class from its number; a name or an unknown number unchanged: ingest checks it."""
    if isinstance(label, int | float) and float(label).is_integer() and 0 <= label < len(classes):
        return classes[int(label)].encode()
    return to_text(label)
