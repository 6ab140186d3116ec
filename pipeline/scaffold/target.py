"""The column of a table to predict, why it is that one, and which kind of task it makes.

Nothing is guessed: a column is taken without being named only if it alone is called like a target, or if it alone can
be one; and that is said. In doubt the user is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError, did_you_mean
from pipeline.scaffold.render import list_names, safe_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.formats.columns import Column

TARGET_NAMES = ("target", "label", "class", "y", "outcome")  # what a target is called when nobody says
CLASSIFICATION, REGRESSION, FORECASTING, TRANSLATION, RECOMMENDATION, CHAT = TASKS = (
    "classification",
    "regression",
    "forecasting",
    "translation",
    "recommendation",
    "chat",
)
MAX_INTEGER_CLASSES = 10  # whole numbers with at most so many values are classes
MAX_CLASSES = 100


def find_target(columns: Sequence[Column], name: str) -> tuple[Column, str]:
    """Returns the target's column, and by what it was chosen; empty if the user has named it.

    Args:
        columns: Of the table.
        name: As the user gave it; empty to choose.

    Raises:
        UsageError: There is no such column, or it is not clear which.
    """
    by_name = {column.name: column for column in columns}
    if name and name in by_name:  # an unnamed column is never meant by no --target
        return by_name[name], ""
    possible = [column for column in columns if not _reason_against(column)]
    if name:
        raise UsageError(
            f"There is no column {name!r}.",
            expected=_expected(possible or columns),
            received=name,
            action=did_you_mean(name, by_name) or "name it with --target COLUMN",
        )
    called = [column for column in columns if _is_called_target(column.name, by_name)]
    chosen = called or possible
    if len(chosen) == 1 and chosen[0] in possible:
        return chosen[0], _choice_words(chosen[0], possible, by_call=bool(called))
    raise UsageError(
        "It is not clear which column is to be predicted.",
        expected=_expected(possible or columns),
        received="no --target" + _doubt(called),
        action="name it with --target COLUMN",
    )


def _is_called_target(name: str, names: Collection[str]) -> bool:
    """Returns whether a column is called like a target, or was: the second of two got a number."""
    first = name.removesuffix("_2")
    return (first if first in names else name).strip().lower() in TARGET_NAMES


def _expected(columns: Sequence[Column]) -> str:
    return f"--target with one of {', '.join(safe_name(column.name) for column in columns)}"


def _choice_words(column: Column, possible: Sequence[Column], *, by_call: bool) -> str:
    others = [other.name for other in possible if other is not column]
    if not by_call:
        return "chosen as the only column that can be one"
    return "chosen by its name; " + (
        f"--target takes another: {list_names(others)}" if others else "no other can be one"
    )


def _doubt(called: Sequence[Column]) -> str:
    """Returns what speaks against the columns that are called like a target."""
    if len(called) > 1:
        return f"; {list_names([column.name for column in called])} are all called like a target"
    return "".join(
        f"; {safe_name(column.name)} is called like a target, but {_reason_against(column)}" for column in called
    )


def _reason_against(column: Column) -> str:
    """Returns why a column is no target to choose without being asked; empty if it can be one."""
    numeric = column.kind in ("int", "float")
    reasons: dict[str, object] = {
        "it has nested values": not column.kind or column.kind.startswith("float["),
        f"it is the same in every row{' that has one' * (0 < column.missing < column.rows)}": column.constant,
        "it holds dates": column.date or column.time_form,
        "it holds sentences": column.free_text,
        "it numbers or names the rows": column.id_like,
        f"it has more than {MAX_CLASSES} different texts": not numeric and not column.values,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def choose_task(column: Column, wanted: str) -> tuple[str, str]:
    """Classification or regression, and why.

    Raises:
        UsageError: The column does not allow the task.
    """
    _require_values(column)
    numeric = column.kind in ("int", "float")
    if wanted == REGRESSION and not numeric:
        raise _target_error(column, "numbers for --task regression")
    if wanted == CLASSIFICATION and not column.values:
        raise _target_error(column, f"at most {MAX_CLASSES} different values for --task classification")
    if wanted in (CLASSIFICATION, REGRESSION):
        return wanted, "asked for"
    if not numeric and (not column.values or column.free_text or column.id_like):
        raise _target_error(column, f"numbers, or at most {MAX_CLASSES} different classes")
    if not numeric and (column.measure or column.with_unit) and column.distinct > 2:  # noqa: PLR2004
        raise _target_error(column, "numbers without a unit, or --task classification to take each for a class")
    if not numeric:
        return CLASSIFICATION, f"{column.distinct} different texts"
    return _number_task(column)


def _number_task(column: Column) -> tuple[str, str]:
    whole = bool(column.values) and all(float(value).is_integer() for value in column.values)
    if whole and column.distinct <= MAX_INTEGER_CLASSES:
        hint = other_task_hint(REGRESSION) if column.distinct > 2 else ""  # noqa: PLR2004  (two numbers are two classes)
        return CLASSIFICATION, f"{column.distinct} different whole numbers" + hint
    if whole:
        return REGRESSION, f"{column.distinct} different whole numbers" + other_task_hint(CLASSIFICATION)
    return REGRESSION, "numbers"


def other_task_hint(task: str) -> str:
    """How to change an ambiguous decision."""
    return f"; --task {task} for the other reading"


def _require_values(column: Column) -> None:
    if column.constant or not column.kind or column.kind.startswith("float["):
        only = (
            f"only {', '.join(map(safe_name, column.values)) or 'missing values'}" if column.constant else column.kind
        )
        raise _target_error(column, "at least two different values", only or "nested values")


def _target_error(column: Column, expected: str, received: str = "") -> UsageError:
    return UsageError(
        f"The column {safe_name(column.name)} cannot be predicted.",
        expected=expected,
        received=received or f"{column.distinct} different {_describe_values(column)}",
        action="write its figures as 1234.5, without a unit"
        if column.figures or column.measure or column.with_unit
        else "name another column with --target, or another --task",
    )


def _describe_values(column: Column) -> str:
    some = ", ".join(map(safe_name, column.values[:3]))
    return f"texts such as {some}" if some and column.kind == "bytes" else f"values of kind {column.kind}"
