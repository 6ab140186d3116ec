"""Rows of text under each other, in columns as wide as their widest cell.

rich.table does this too, but its import alone takes 0.05 s of CPU, and `keraspipe models` needs 0.09 s of the 0.1 s
that it may take. Its padding and wrapping would also have to be undone for pipes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """One line for each row; all rows have as many cells as the first."""
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
