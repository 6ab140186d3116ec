"""Which column of a table is to be predicted, and what kind of task that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.catalogue import did_you_mean
from pipeline.errors import UsageError
from pipeline.scaffold.prose import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.datasets.columns import Column

CLASSIFICATION, REGRESSION, FORECASTING = TASKS = ("classification", "regression", "forecasting")
NAMES = ("target", "label", "class", "y", "outcome")  # what a target is called when nobody says
FEW = 10  # whole numbers with at most so many values are classes
MANY_CLASSES = 100


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
