"""NAME=VALUE on the command line: which input is meant, and names that no input has."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pipeline.batch_inference.columns import InputColumns

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
ALIKE = 0.8  # of 1: txt and Text are like text, next and test are not


def is_assignment(text: str, names: Collection[str]) -> bool:
    """Returns whether a text is NAME=VALUE with one of the names."""
    name, sign, _ = text.partition("=")
    return bool(sign) and name in names


def require_values(texts: Iterable[str], columns: InputColumns) -> None:
    """Raises a UsageError if a value of a model's only input is an assignment to a name that is meant to be its own.

    An id is hardly ever NAME=VALUE. A text may be: only a name that is like the input's is taken for it.
    """
    names = list_names(columns)
    folded = [name.casefold() for name in names]
    for text in texts:
        other, sign, value = text.partition("=")
        alike = columns.only in columns.ids or difflib.get_close_matches(other.casefold(), folded, cutoff=ALIKE)
        if sign and NAME.fullmatch(other) and alike and not Path(text).exists():
            raise UsageError(
                f"There is no input {other}.",
                expected=f"{' or '.join(f'{name}=VALUE' for name in names)}, or VALUE alone",
                received=text[:80],
                action=f"{names[0]}={value[:80]}, or where all of it is the value: {names[0]}={text[:80]}",
            )


def list_names(columns: InputColumns) -> list[str]:
    """Returns what the inputs may be called: as in the file that was trained on, and by themselves."""
    return list(dict.fromkeys([*(columns.trained.get(name, name) for name in columns.kinds), *columns.kinds]))


def suggest_names(texts: Iterable[str], columns: InputColumns) -> str:
    """Returns what names that no input has may mean; empty if none is like that of an input."""
    names = list_names(columns)
    given = [name for name, sign, _ in (text.partition("=") for text in texts) if sign]
    hints = {name: did_you_mean(name, names) for name in given if name not in names}
    return "; ".join(f"{name}: {hint}" for name, hint in hints.items() if hint)


def require_date(text: str, name: str, columns: InputColumns) -> None:
    """Raises a UsageError if an input is a date, and a text is none: it would count as missing."""
    from pipeline.batch_inference.columns import DATE_FORMS

    if columns.is_no_date(name, text):
        raise UsageError(
            f"The value of {name} is no date.",
            expected=f"{name}={DATE_FORMS}, or {name}= where it is not known",
            received=text[:80],
            action="correct the value",
        )


def plain_text(text: str, name: str, columns: InputColumns) -> str:
    """Returns a number as Python writes it, of one in the form that was trained on, too; other texts as they are.

    Raises:
        UsageError: It is another number in either form: 1.250 where points group digits.
    """
    from pipeline.tables.dialect import plain_number
    from pipeline.tables.number_forms import PLAIN

    trained = plain_number(text, columns.form.decimal, columns.form.thousands)
    if trained != text and PLAIN.fullmatch(text) and float(trained) != float(text):
        raise UsageError(
            f"The number of {name} can be read in two ways.",
            expected="a number without marks that group digits, decimals after a point",
            received=f"{text}, which is {trained} in the form of the file that was trained on",
            action=f"{name}={trained} or {name}={float(text):.15g}",
        )
    return trained
