"""The order of the rows of series: which have a time that came before, and which are earlier than a row before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from datetime import datetime


@dataclass
class RowOrder:
    """Counts of rows that are not later than all before them of the same series; places are row numbers from 0.

    Attributes:
        repeated: Rows with a time that a row before has.
        first_repeated: Place of the first.
        late: Other rows that are earlier than a row before.
        first_late: Place of the first.
    """

    repeated: int = 0
    first_repeated: int = 0
    late: int = 0
    first_late: int = 0

    def add(self, place: int, *, seen: bool) -> None:
        """Counts a row that is not later than all before it."""
        if seen:
            self.first_repeated = self.first_repeated if self.repeated else place
            self.repeated += 1
        else:
            self.first_late = self.first_late if self.late else place
            self.late += 1

    def describe_repeated(self, place: str) -> str:
        """Says how many rows have a time that came before, and which counts; `place` is that of the first."""
        have = "1 row has" if self.repeated == 1 else f"{self.repeated:,} rows have"
        counts = "the row that comes first in the file counts, and no other"
        return f"{have} a time that came before: {counts}. The first of them: {place}."

    def describe_late(self, place: str) -> str:
        """Says how many rows are out of order, and what becomes of them."""
        are = "1 row is" if self.late == 1 else f"{self.late:,} rows are"
        return f"{are} earlier than a row before and passed over; sort=True in DATA keeps them. The first: {place}."


def check_order(moments: Iterable[datetime], keys: Iterable[Hashable]) -> RowOrder:
    """Returns which rows are not later than all before them, as `pipeline.formats.time_series` passes over them.

    Args:
        moments: Their times.
        keys: Their series, likewise.
    """
    order = RowOrder()
    latest: dict[Hashable, datetime] = {}
    seen: set[tuple[Hashable, datetime]] = set()
    for place, (moment, key) in enumerate(zip(moments, keys, strict=True)):
        if key in latest and moment <= latest[key]:
            order.add(place, seen=(key, moment) in seen)
        else:
            latest[key] = moment
        seen.add((key, moment))
    return order
