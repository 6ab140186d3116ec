"""Rows of text under each other, in columns as wide as their widest cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """One line for each row; all rows have as many cells as the first."""
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
