"""Reads the numbers of a new CSV file as those of the file that was trained on, where they can be read so.

1.250 is 1250 for a model that was trained with points that group digits, whatever else the cell may mean. A file that
is evidently written otherwise is read as it is written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.batch_inference.columns import find_form, is_csv
from pipeline.tables.dialect import plain_number
from pipeline.tables.number_forms import fits_form, is_number, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.batch_inference.columns import InputColumns
    from pipeline.tables.dialect import Dialect
    from pipeline.tables.sniff import Finding

TRAINED = "{file}: {column} {cell!r} is read as {number}, as in the file that was trained on"
OTHERWISE = "{file}: {column} {cell!r} is read as {number}, for its numbers have another form than those trained on"
HINT = "; --decimal and --thousands name a form."


def use_trained_form(path: Path, known: Dialect, columns: InputColumns) -> tuple[Dialect, str]:
    """Returns what is known of a CSV file with the form that was trained with, where that fits; and what to say of it.

    Args:
        path: The file.
        known: What is said of it, which comes first.
        columns: The model's inputs.

    Raises:
        PipelineError: The file is damaged.
    """
    if not columns.form.options() or not is_csv(path):
        return known, ""
    known = _use_delimiter(path, known, columns)
    trained = _add_numbers(known, columns.form)
    return (known, "") if trained == known else _choose_numbers(path, known, trained, columns)


def _use_delimiter(path: Path, known: Dialect, columns: InputColumns) -> Dialect:
    """Adds the delimiter with which the header has all columns of the inputs."""
    if known.delimiter or not columns.form.delimiter:
        return known
    trained = replace(known, delimiter=columns.form.delimiter)
    there = columns.sources(find_form(path, trained, columns).columns)
    return trained if there.keys() == columns.kinds.keys() else known


def _add_numbers(known: Dialect, form: Dialect) -> Dialect:
    """Adds what begins decimals and groups digits, unless that contradicts what is known."""
    decimal, thousands = known.decimal or form.decimal, known.thousands or form.thousands
    if not (decimal or thousands) or decimal == thousands:
        return known
    return replace(known, decimal=decimal or ("," if thousands == "." else "."), thousands=thousands)


def _choose_numbers(path: Path, known: Dialect, trained: Dialect, columns: InputColumns) -> tuple[Dialect, str]:
    """Returns the form that more cells fit, that which was trained with if both fit alike."""
    finding = find_form(path, known, columns)
    wanted = columns.number_columns(finding.columns)
    cells = list(_list_cells(finding, wanted))
    fitting = [
        sum(fits_form(cell, form.decimal, form.thousands) for _, cell in cells) for form in (trained, finding.dialect)
    ]
    unclear = [cell for column, cell in finding.unclear.items() if column in wanted]
    if fitting[0] < fitting[1] or not all(fits_form(cell, trained.decimal, trained.thousands) for cell in unclear):
        return known, "" if unclear else _describe(path, cells, finding.dialect, trained, OTHERWISE)
    return trained, _describe(path, cells, trained, finding.dialect, TRAINED)


def _list_cells(finding: Finding, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """Yields column and cell of the numbers of the first rows."""
    for _, row in finding.below:
        yield from ((column, cell) for column, cell in zip(finding.columns, row, strict=False) if column in wanted)


def _describe(path: Path, cells: list[tuple[str, str]], chosen: Dialect, other: Dialect, words: str) -> str:
    """Names the first number that the other form reads otherwise; empty if there is none."""
    for column, cell in cells:
        number, second = (plain_number(cell, form.decimal, form.thousands) for form in (chosen, other))
        if number != second and is_number(number):
            return words.format(file=path.name, column=column, cell=cell, number=f"{parse_number(number):.15g}") + HINT
    return ""
