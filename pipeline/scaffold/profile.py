"""One pass over the rows of a table as a run will read them: labels, faults, numbers, and columns that are copies.

Whether there are rows enough, and sound ones.

Which column of a table is to be predicted, and what kind of task that is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError, did_you_mean
from pipeline.scaffold.render import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.base import Dataset
    from pipeline.formats.columns import Column


ROOT = Path("/")  # the paths are absolute here
SAMPLED = 20_000
REPEATS = 0.5  # a column with more values than this share of the rows is no copy of another
FEWEST = 50
MOST_FAULTS = 0.5
USUAL_FAULTS = 0.005  # half of what a recipe allows by itself
CLASSIFICATION, REGRESSION, FORECASTING = TASKS = ("classification", "regression", "forecasting")
NAMES = ("target", "label", "class", "y", "outcome")  # what a target is called when nobody says
FEW = 10  # whole numbers with at most so many values are classes
MANY_CLASSES = 100


@dataclass
class Profile:
    """What was found.

    Attributes:
        rows: Usable rows.
        faults: Rows that are not.
        first_fault: The first of them, in words.
        classes: Rows by label, where the label is text.
        target: The labels, where they are numbers.
        numbers: The first values of each numeric input.
        words: Words of each text, of the first rows, by input.
        codes: Digest of each column's order of equal values: columns that are copies in other words have the same one.
    """

    rows: int = 0
    faults: int = 0
    first_fault: str = ""
    classes: Counter[str] = field(default_factory=Counter)
    target: list[float] = field(default_factory=list)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    words: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)


def of(data: Dataset) -> Profile:
    """Reads all rows; of the inputs only the first ones are looked at."""
    found, order = Profile(), {name: Order() for name in (*data.inputs, data.label)}
    for example in data.examples(ROOT):
        if example.fault:
            found.faults += 1
            found.first_fault = found.first_fault or f"{example.source}: {example.fault}"
            continue
        found.rows += 1
        _label(example.features[data.label], found)
        if found.rows <= SAMPLED:
            _sample(example.features, data, found, order)
    found.codes = {name: one.digest() for name, one in order.items() if len(one.seen) < REPEATS * one.count}
    return found


def _label(label: Any, found: Profile) -> None:
    if isinstance(label, bytes):
        found.classes[label.decode(errors="replace")] += 1
    else:
        found.target.append(float(label))


def _sample(features: Any, data: Dataset, found: Profile, order: dict[str, Order]) -> None:
    for name, one in order.items():
        value = features.get(name)
        one.add(value if isinstance(value, bytes | int | float | None) else bytes(value))
    for name in data.inputs:
        value = features.get(name)
        if isinstance(value, int | float):
            found.numbers.setdefault(name, []).append(float(value))
        elif isinstance(value, bytes):
            found.words.setdefault(name, []).append(len(value.split()))


@dataclass
class Order:
    """In which order values appear and come back, whatever they are."""

    seen: dict[Any, int] = field(default_factory=dict)
    count: int = 0
    digested: Any = field(default_factory=hashlib.sha256)

    def add(self, value: Any) -> None:
        """Takes in the next row's value."""
        self.count += 1
        code = self.seen.setdefault(value, len(self.seen))
        self.digested.update(code.to_bytes(4, "big"))

    def digest(self) -> str:
        """The same for columns that tell the same rows apart."""
        return str(self.digested.hexdigest())


def require(path: Path, rows: int, what: str = "rows") -> None:
    """Raises a PipelineError when there is too little to learn from."""
    if rows < FEWEST:
        raise PipelineError(
            f"There are too few {what} in {path} to learn from.",
            expected=f"at least {FEWEST}, better hundreds",
            received=f"{rows}",
            action="collect more data",
        )


def share_of_faults(path: Path, rows: int, faults: int, first: str) -> dict[str, Any]:
    """What a recipe says about rows that cannot be used: they are passed over, up to a share.

    Raises:
        PipelineError: Most rows cannot be used, or too few are left.
    """
    share = faults / max(rows + faults, 1)
    if share > MOST_FAULTS:
        raise PipelineError(
            f"Most rows of {path} cannot be used.",
            expected="rows with a target and values of the columns' kinds",
            received=f"{faults} of {rows + faults}; the first: {first}",
            action="mend them, or name another --target",
        )
    require(path, rows, "usable rows")
    if share < USUAL_FAULTS:
        return {"bad_share": 0, "faults": faults}
    allowed = round(min(1.2 * share + 0.01, 0.9), 3)
    return {"bad_share": allowed, "bad_reason": f"{share:.1%} cannot be used, as this is written", "faults": faults}


def find(columns: Sequence[Column], name: str) -> Column:
    """The target's column.

    Args:
        columns: Of the table.
        name: As the user gave it; empty for a column that is called like a target.

    Raises:
        UsageError: There is no such column, or it is not clear which.
    """
    by_name = {column.name: column for column in columns}
    usual = [column for column in columns if column.name.lower() in NAMES]
    possible = [
        column for column in columns if not (column.date or column.free_text or column.id_like or column.constant)
    ]
    if name in by_name:
        return by_name[name]
    if not name and len(usual or possible) == 1:
        return (usual or possible)[0]
    raise UsageError(
        f"There is no column {name!r}." if name else "It is not clear which column is to be predicted.",
        expected="--target with one of " + ", ".join(map(plain, by_name)),
        received=name or "no --target",
        action=did_you_mean(name, by_name) or "name it with --target COLUMN",
    )


def task(column: Column, wanted: str) -> tuple[str, str]:
    """Classification or regression, and why.

    Raises:
        UsageError: The column does not allow the task.
    """
    _require_values(column)
    numeric = column.kind in ("int", "float")
    if wanted == REGRESSION and not numeric:
        raise _misfit(column, "numbers for --task regression")
    if wanted == CLASSIFICATION and not column.values:
        raise _misfit(column, f"at most {MANY_CLASSES} different values for --task classification")
    if wanted in (CLASSIFICATION, REGRESSION):
        return wanted, "asked for"
    if not numeric and (not column.values or column.free_text or column.id_like):
        raise _misfit(column, f"numbers, or at most {MANY_CLASSES} different classes")
    if not numeric:
        return CLASSIFICATION, f"{column.distinct} different texts"
    return _of_numbers(column)


def _of_numbers(column: Column) -> tuple[str, str]:
    whole = bool(column.values) and all(float(value).is_integer() for value in column.values)
    if whole and column.distinct <= FEW:
        return CLASSIFICATION, f"{column.distinct} different whole numbers" + other(REGRESSION) * (column.distinct > 2)  # noqa: PLR2004
    if whole:
        return REGRESSION, f"{column.distinct} different whole numbers" + other(CLASSIFICATION)
    return REGRESSION, "numbers"


def other(one: str) -> str:
    """How to change an ambiguous decision."""
    return f"; --task {one} for the other reading"


def classes(values: Sequence[str]) -> tuple[str, ...]:
    """Classes in their order: numbers by size, texts by letter."""
    try:
        return tuple(sorted(values, key=float))
    except ValueError:
        return tuple(sorted(values))


def _require_values(column: Column) -> None:
    if column.constant or not column.kind or column.kind.startswith("float["):
        only = f"only {', '.join(map(plain, column.values)) or 'missing values'}" if column.constant else column.kind
        raise _misfit(column, "at least two different values", only or "nested values")


def _misfit(column: Column, expected: str, received: str = "") -> UsageError:
    return UsageError(
        f"The column {plain(column.name)} cannot be predicted.",
        expected=expected,
        received=received or f"{column.distinct} different values of kind {column.kind}",
        action="name another column with --target, or another --task",
    )
