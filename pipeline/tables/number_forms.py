"""The form of numbers in a table: what begins the decimals, and what groups digits."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from pipeline.tables import dialect as dialects

if TYPE_CHECKING:
    from pipeline.tables.dialect import Dialect

NUMBER_SHARE = 0.95  # of a column's cells that must be numbers of one form
# What means a missing value where nothing else is said; \N is that of MySQL and PostgreSQL.
MISSING_TEXTS = ("", "?", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", r"\N")
PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(
    r"[-+]?(\d{1,3}(\.\d{3})+,\d+|0?,\d+|\d+,(\d{1,2}|\d{4,})|\d{4,},\d+)([eE][-+]?\d+)?", re.ASCII
)
EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)
SMALL_DECIMAL = re.compile(r"[-+]?\d{1,3},\d+", re.ASCII)
DOTTED, SMALL = (re.compile(rf"[-+]?([1-9]\d{{0,2}}{end}|0)", re.ASCII) for end in (r"(\.\d{3})+", ""))
GROUPED = {
    ",": re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+\.\d+|[-+]?[1-9]\d{0,2}(,\d{3}){2,}", re.ASCII),
    ".": re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+,\d+|[-+]?[1-9]\d{0,2}(\.\d{3}){2,}", re.ASCII),
    "'": re.compile(r"[-+]?[1-9]\d{0,2}(['\u2019]\d{3})+([.,]\d+)?", re.ASCII),
    " ": re.compile(rf"[-+]?[1-9]\d{{0,2}}([{dialects.SPACES}]\d{{3}})+([.,]\d+)?", re.ASCII),
}


def find_numbers(rows: list[list[str]], known: Dialect) -> tuple[str, str, dict[int, str]]:
    """Returns what begins the decimals, what groups digits, and by column a cell that can be read in two ways.

    Where semicolons separate the cells, or commas begin decimals, 18.834 may be a whole number.
    """
    forms = [form for column in transpose_cells(rows) if (form := _number_forms(column))]
    certain = set().union(*forms)
    decimal, thousands = known.decimal or ("," if known.thousands == "." else ""), known.thousands
    if not decimal and thousands != "," and "decimal" in certain and "," not in certain:
        decimal = ","
    if not thousands:
        possible = [mark for mark in GROUPED if mark in certain and mark != (decimal or ".")]
        thousands = possible[0] if possible else ""
    european = (decimal == "," or known.delimiter == ";") and not (known.decimal or thousands)
    dotted = _dotted_cells(rows) if european else {}
    if decimal == "," or thousands == ",":
        return decimal, "." if dotted and decimal == "," else thousands, {}
    unclear = dotted
    for place, column in enumerate(transpose_cells(rows)):
        if _number_forms(column) & {"either", ","} and not known.decimal:
            unclear[place] = next(cell for cell in column if "," in cell)
    return decimal, thousands, unclear


def _dotted_cells(rows: list[list[str]]) -> dict[int, str]:
    """Returns a cell of each column in which dots may only group digits, as in 1.514 among 950,5 and 7."""
    cells = {}
    for place, column in enumerate(transpose_cells(rows)):
        present = [cell for cell in column if cell not in MISSING_TEXTS]
        dotted = [cell for cell in present if "." in cell and DOTTED.fullmatch(cell)]
        patterns = DOTTED, SMALL, SMALL_DECIMAL, GROUPED["."]
        if dotted and all(any(pattern.fullmatch(cell) for pattern in patterns) for cell in present):
            cells[place] = dotted[0]
    return cells


def _number_forms(column: list[str]) -> set[str]:
    """The forms of a column of numbers: "decimal" (a comma), what groups digits, "either"; none for another column."""
    present = [cell for cell in column if cell not in MISSING_TEXTS]
    odd = [cell for cell in present if not PLAIN.fullmatch(cell)]
    forms = [_number_form(cell) for cell in odd]
    few = (1 - NUMBER_SHARE) * len(present)
    if not odd or len(odd) - sum(map(bool, forms)) > few:
        return set()
    commas = sum("decimal" in form for form in forms)
    points = sum("." in cell for cell in present if PLAIN.fullmatch(cell))
    return set().union(*forms) - ({"decimal"} if points and commas <= few else set())  # odd cells among points


def _number_form(cell: str) -> set[str]:
    forms = {mark for mark, pattern in GROUPED.items() if pattern.fullmatch(cell)}
    if DECIMAL_COMMA.fullmatch(cell) or (forms & {" ", "'"} and "," in cell):
        forms.add("decimal")
    return forms | ({"either"} if EITHER.fullmatch(cell) else set())


def is_number(cell: str) -> bool:
    """Returns whether a cell is a number, with a point or a comma."""
    return bool(PLAIN.fullmatch(cell) or DECIMAL_COMMA.fullmatch(cell))


def parse_number(cell: str) -> float:
    """Returns the value of a cell that is a number, with a point or a comma."""
    return float(cell if PLAIN.fullmatch(cell) else dialects.plain_number(cell, ",", "."))


def fits_form(cell: str, decimal: str, thousands: str) -> bool:
    """Returns whether a cell is a number as one writes it with these marks.

    A point that begins decimals fits everywhere but where points group digits: it can mean nothing else there.
    """
    written = cell.strip(" +-") and dialects.split_number(cell, decimal, thousands)
    return bool(written or (thousands != "." and PLAIN.fullmatch(cell.strip())))


def is_numeric(column: list[str]) -> bool:
    """Returns whether nearly all cells of a column are numbers."""
    present = [cell for cell in column if cell not in MISSING_TEXTS]
    return bool(present) and sum(map(is_number, present)) >= NUMBER_SHARE * len(present)


def number_share(rows: list[list[str]]) -> float:
    """Returns the share of the cells that are numbers."""
    cells = [cell for row in rows for cell in row]
    return sum(map(is_number, cells)) / max(len(cells), 1)


def transpose_cells(rows: list[list[str]]) -> list[list[str]]:
    """Returns the columns; cells that a short row lacks are empty."""
    return [list(column) for column in itertools.zip_longest(*rows, fillvalue="")]
