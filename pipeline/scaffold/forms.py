"""How a table's file is written, and what a recipe has to say of it."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError
from pipeline.formats import columns as table_columns
from pipeline.formats import jsonl, table
from pipeline.formats.read_table import table_format
from pipeline.scaffold.render import list_names, safe_name
from pipeline.tables import sniff
from pipeline.tables.dialect import BLANKS, Dialect
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.formats.columns import Column
    from pipeline.scaffold.render import Plan


LOOKED_AT = 100  # lines of JSON
BEGINNING = 64  # bytes
JSON = re.compile(rb'\s*(\[\s*)?\{\s*"([^"\\]|\\.)*("\s*:|$)', re.DOTALL)  # a first name, perhaps a longer one


@dataclass(frozen=True)
class Form:
    """How a table is written.

    Attributes:
        dialect: Of a CSV file; None for other formats.
        notes: What is not as usual.
        written: What the recipe has to say, by the argument's name.
        missing: Texts that mean a missing value.
    """

    dialect: Dialect | None = None
    notes: tuple[str, ...] = ()
    written: dict[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = MISSING_TEXTS

    def options(self, columns: Sequence[Column]) -> dict[str, Any]:
        """The arguments of the recipe's data, with odd cells in columns of numbers as missing values."""
        cells = [text for column in columns if column.kind in ("int", "float") for text, _ in column.odd]
        odd = dict.fromkeys(text for text in cells if not table.is_no_number(text))
        missing = (*self.missing, *odd)
        return self.written | ({"missing": missing} if missing != MISSING_TEXTS else {})

    def inspect(self, path: Path) -> tuple[Form, list[Column]]:
        """Inspects the columns; NA is a value, and no missing one, where it stands among other codes of two letters."""
        columns = table_columns.inspect_table(path, dialect=self.dialect, missing=self.missing)
        codes = [safe_name(column.name) for column in columns if column.code]
        if not codes:
            return self, columns
        note = f"NA is read as a code, like the other values of {list_names(codes)}, and not as a missing value."
        missing = tuple(text for text in self.missing if text != "NA")
        return replace(self, missing=missing, notes=(*self.notes, note)).inspect(path)

    def tell(self, plan: Plan) -> Plan:
        """Returns the plan with these notes before its own."""
        return replace(plan, notes=[*self.notes, *plan.notes])


def find_form(path: Path, known: Dialect | None = None) -> Form:
    """Finds how a table is written.

    Args:
        path: File, or folder of Parquet files.
        known: What is known of it.

    Raises:
        UsageError: Its numbers can be read in two ways, or the format has no such options.
    """
    known = known or Dialect()
    if table_format(path) != "csv":
        _require_no_options(path, known)
        _require_objects(path)
        return Form()
    if not path.is_file():
        return Form(known)
    _require_no_json(path)
    finding = sniff.find_dialect(path, known)
    sniff.require_clear(path, finding.unclear)
    if known.header is None:
        sniff.require_one_header(path, finding)
    said = finding.dialect.options()
    kept: dict[str, Any] = {name: said[name] for name in ("decimal", "thousands") if name in said}
    kept |= {name: value for name, value in known.options().items() if name != "header" or value != 1}
    kept |= {"delimiter": BLANKS} if said.get("delimiter") == BLANKS else {}
    kept |= {"header": 0} if said["header"] == 0 else {}
    return Form(finding.dialect, finding.notes, kept)


def _require_objects(path: Path) -> None:
    rows = itertools.islice(jsonl.read_rows(path), LOOKED_AT) if table_format(path) == "jsonl" else ()
    faults = [fault and f"{place}: {fault}" for place, _, fault in rows]
    if faults and all(faults):
        raise PipelineError(
            f"{path} holds no rows.",
            expected="one JSON object per line, an array of objects, or a table as pandas writes it",
            received=faults[0],
            action="write one object per line, such as pandas' to_json(orient='records', lines=True)",
        )


def _require_no_json(path: Path) -> None:
    with path.open("rb") as file:
        first = file.read(BEGINNING)
    if JSON.match(first):
        raise PipelineError(
            f"{path} holds JSON.",
            expected="separated values in a file with this ending",
            received=repr(first[:20].decode("utf-8", "replace")),
            action=f"rename it to {path.stem}.json",
        )


def _require_no_options(path: Path, known: Dialect) -> None:
    if known.options():
        raise UsageError(
            f"{path} says itself how it is written.",
            expected="--" + ", --".join(known.options()) + " for a CSV file only",
            received=path.name,
            action="leave it out",
        )
