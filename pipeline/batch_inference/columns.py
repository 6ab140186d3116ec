"""The columns of a table that a model's inputs come from, and the columns of its answers.

A column may have the name that it has in the file that was trained on, or that of the input.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, did_you_mean
from pipeline.export.columns import COLUMNS_FILE
from pipeline.features import dates, types
from pipeline.formats import read_table, table
from pipeline.store import fileio
from pipeline.tables import dialect as dialects
from pipeline.tables import encodings, sniff
from pipeline.tables.names import make_identifiers
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipeline.tables.dialect import Dialect
    from pipeline.tables.sniff import Finding
    from serving.core.signature import TensorInfo

FILE_COLUMN = "file"  # of the rows of a folder of files
MAX_SHOWN = 10
DATE_FORMS = "YYYY-MM-DD or DD.MM.YYYY, perhaps with a time HH:MM"


@dataclass(frozen=True)
class InputColumns:
    """What is known of a model's inputs and of its answer.

    Attributes:
        kinds: Kind of each input, as a recipe declares it.
        trained: Column of each input in the file that was trained on, as far as it is known.
        optional: Inputs that may be missing.
        dates: Inputs that are dates: a text that is none would count as missing.
        identifiers: Inputs that name who or what a row is from.
        missing: Texts that mean a missing value; an empty one always does.
        form: Delimiter and form of numbers that were named for the file that was trained on.
        target: Column that is predicted; empty if it is not known.
        classes: Declared classes; empty if there are none, or they are not known.
        encoding: That was named for the file that was trained on; empty if none was.
    """

    kinds: Mapping[str, str]
    trained: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    target: str = ""
    classes: tuple[str, ...] = ()
    encoding: str = ""
    dates: frozenset[str] = frozenset()
    identifiers: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset(MISSING_TEXTS)
    form: Dialect = field(default_factory=dialects.Dialect)

    def is_missing(self, cell: Any, declared: str) -> bool:
        """Returns whether a cell counts as missing, as in training."""
        return table.is_missing(cell, self.missing) or (declared == "float" and table.is_no_number(cell))

    def is_no_date(self, name: str, value: Any) -> bool:
        """Returns whether an input is a date, and a value, text or its bytes, is neither one nor missing."""
        if name not in self.dates:
            return False
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        return bool(text.strip()) and not table.is_no_number(text) and dates.iso(text) is None

    @property
    def ids(self) -> frozenset[str]:
        """The inputs that are ids, of versions that do not say it by their names."""
        return self.identifiers | {name for name in self.kinds if name == "id" or name.endswith("_id")}

    @property
    def only(self) -> str:
        """The input, if there is just one."""
        return next(iter(self.kinds)) if len(self.kinds) == 1 else ""

    def sources(self, columns: Iterable[str]) -> dict[str, str]:
        """Returns the column of each input, of those that a table has.

        First by the name in the file that was trained on, then by the input's name, then by the identifier that `new`
        makes of a column's name.
        """
        names = list(columns)
        made = {identifier: name for name, identifier in make_identifiers(names).items()}
        chosen = {}
        for name in self.kinds:
            candidates = (self.trained.get(name, name), name, made.get(name, name))
            chosen[name] = next((column for column in candidates if column in names), "")
        if self.only and not chosen[self.only] and FILE_COLUMN in names:
            chosen[self.only] = FILE_COLUMN
        return {name: column for name, column in chosen.items() if column}

    def number_columns(self, columns: Iterable[str]) -> set[str]:
        """Returns the columns of the inputs that are numbers, of those that a table has."""
        numbers = {name for name, kind in self.kinds.items() if types.parse_kind(kind)[0] != "bytes"}
        return {column for name, column in self.sources(columns).items() if name in numbers}

    def require(self, path: Path, columns: Iterable[str]) -> None:
        """Raises a PipelineError if a table lacks the column of an input.

        Objects of JSON may leave out a value that may be missing: but not all, nor one in place of which there is a
        member that nobody knows.
        """
        names = list(columns)
        lost = self.find_lacking(names)
        objects = read_table.table_format(path) == "jsonl" and len(lost) < len(self.kinds)
        left_out = objects and self.optional.issuperset(lost) and not self.find_unused(names)
        if lost and not left_out:
            wanted = [self.trained.get(name, name) for name in lost]
            alike = did_you_mean(wanted[0], names)
            raise PipelineError(
                f"{path} lacks the column{'s' * (len(lost) > 1)} {', '.join(wanted[:MAX_SHOWN])}.",
                expected=", ".join(self.trained.get(name, name) for name in self.kinds),
                received=", ".join(names) or "no columns",
                action=_rename_words(wanted, names)
                or (alike and f"{alike} Then rename it to {wanted[0]}")
                or "add the column, empty where the value is not known, or name another file with --file",
            )

    def find_lacking(self, columns: Iterable[str]) -> list[str]:
        """Returns the inputs that no column is for."""
        there = self.sources(columns)
        return [name for name in self.kinds if name not in there]

    def find_unused(self, columns: Iterable[str]) -> list[str]:
        """Returns the columns that are neither an input's nor the target's."""
        names = list(columns)
        used = {*self.sources(names).values(), self.target, FILE_COLUMN}
        return [name for name in names if name not in used]


def _rename_words(wanted: list[str], names: list[str]) -> str:
    """Returns what to rename where all that is lost is there in other letters; empty if not."""
    folded = {name.strip().casefold(): name for name in names}
    pairs = [(folded.get(name.casefold(), ""), name) for name in wanted]
    changes = ", ".join(f"{other} to {name}" for other, name in pairs[:MAX_SHOWN])
    return f"names differ in their case: rename {changes}" if all(other for other, _ in pairs) else ""


def read_input_columns(inputs: Mapping[str, TensorInfo], folder: Path | None, target: str = "") -> InputColumns:
    """Returns what a model's version says of its columns.

    Args:
        inputs: Of the signature.
        folder: Of the version; None where it is not at hand.
        target: Name of the target, where the version does not say it.
    """
    stored: dict[str, Any] = fileio.read_json(folder / COLUMNS_FILE, {}) if folder else {}
    return InputColumns(
        {name: _input_kind(info) for name, info in inputs.items()},
        stored.get("columns", {}),
        frozenset(stored.get("optional", ())),
        stored.get("target", target),
        tuple(stored.get("classes", ())),
        stored.get("encoding", ""),
        frozenset(stored.get("dates", ())),
        frozenset(stored.get("identifiers", ())),
        missing_texts(stored),
        dialects.Dialect(**stored.get("form", {})),
    )


def missing_texts(stored: Mapping[str, Any]) -> frozenset[str]:
    """Returns the texts that mean a missing value, by what a version says of its columns; an empty one always does."""
    return frozenset(["", *stored.get("missing", MISSING_TEXTS)])


def _input_kind(info: TensorInfo) -> str:
    name = "bytes" if info.dtype.name == "string" else "int" if "int" in info.dtype.name else "float"
    sizes = (info.shape or ())[1:]
    return f"{name}[{','.join(map(str, sizes))}]" if sizes else name


def is_csv(path: Path) -> bool:
    """Returns whether there is a file of separated values."""
    return path.is_file() and read_table.table_format(path) == "csv"


def use_trained_encoding(path: Path, known: Dialect, columns: InputColumns) -> Dialect:
    """Returns what is known of a CSV file, with the encoding that was trained with where UTF-8 does not fit."""
    if known.encoding or not columns.encoding or not is_csv(path):
        return known
    fits = encodings.fits_better(path, columns.encoding) and dialects.find_encoding(path) == "utf-8"
    return replace(known, encoding=columns.encoding) if fits else known


def find_dialect(path: Path, known: Dialect | None, columns: InputColumns) -> Dialect | None:
    """Finds how a CSV file is written: its header is the line with the model's columns; None for another format.

    Raises:
        PipelineError: Its numbers can be read in two ways.
    """
    if not is_csv(path):
        return known
    finding = find_form(path, known, columns)
    wanted = columns.number_columns(finding.columns)
    sniff.require_clear(path, {name: text for name, text in finding.unclear.items() if name in wanted})
    return finding.dialect


def find_form(path: Path, known: Dialect | None, columns: InputColumns) -> Finding:
    """Finds how a CSV file is written, also where its numbers can be read in two ways."""
    trained = [columns.trained.get(name, name) for name in columns.kinds]
    finding = sniff.find_dialect(path, known, trained)
    if not set(trained) <= set(finding.columns):
        finding = sniff.find_dialect(path, known, list(columns.kinds))
    return finding
