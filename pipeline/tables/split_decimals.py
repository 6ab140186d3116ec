"""Decimal commas that are not quoted in a file whose cells commas separate, too: one number is two cells."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.tables.header import MIN_ROWS, USUAL_SHARE
from pipeline.tables.number_forms import is_number

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.tables.header import Rows

WHOLE, DIGITS, FRACTION = re.compile(r"[-+]?\d+"), re.compile(r"\d+"), re.compile(r"0\d+")


def require_whole_numbers(path: Path, rows: Rows) -> None:
    """Raises a UsageError if most rows are wider than the first one, a header, as commas within numbers make them."""
    if len(rows) <= MIN_ROWS:
        return
    (line, header), below = rows[0], rows[1:]
    wide = [(number, cells) for number, cells in below if _is_split(cells, len(header))]
    named = len(header) > 1 and all(header) and not any(map(is_number, header))
    split = any(_has_fraction(cells) for _, cells in wide) or not _have_names([cells for _, cells in wide], len(header))
    if named and len(wide) > USUAL_SHARE * len(below) and split:
        number, cells = wide[0]
        raise UsageError(
            f"{path} line {number} has {len(cells)} cells, the header has {len(header)}.",
            expected=f"as many cells as line {line} has names: {', '.join(header)}",
            received=",".join(cells),
            action="if decimals begin with a comma, quote such cells or write ; between the cells; "
            "if the rows begin with their names, write a name for these in front of the header",
        )


def _is_split(cells: list[str], width: int) -> bool:
    pairs = [left for left, right in itertools.pairwise(cells) if WHOLE.fullmatch(left) and DIGITS.fullmatch(right)]
    return width < len(cells) <= width + len(pairs)


def _have_names(wide: list[list[str]], width: int) -> bool:
    """Whether the cell that rows have too many may be their name, as R writes them: it comes first, and never again."""
    return all(len(cells) == width + 1 for cells in wide) and len({cells[0] for cells in wide}) == len(wide)


def _has_fraction(cells: list[str]) -> bool:
    """Whether digits after a whole number begin with 0, as no number does but decimals do."""
    return any(WHOLE.fullmatch(left) and FRACTION.fullmatch(right) for left, right in itertools.pairwise(cells))
