"""Numbers of one metric under one set of labels.

They are changed under their owner's lock: a list's `+= 1` is one step of the interpreter today, but nothing
promises it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.metrics.family import Family

Number = int | float


class Histogram:
    """How many values fell into each bucket, and their sum.

    TensorFlow's own put a value that equals a bound into the bucket above (`std::upper_bound`), Prometheus'
    rule is below; each family keeps to its origin.
    """

    __slots__ = ("bounds", "counts", "place", "total")

    def __init__(self, family: Family) -> None:
        self.bounds = family.bounds
        self.counts = [0] * (len(family.bounds) + 1)
        self.total: Number = 0
        self.place = bisect_left if family.help else bisect_right

    def add(self, value: Number) -> None:
        """Count a value."""
        self.counts[self.place(self.bounds, value)] += 1
        self.total += value

    def value(self) -> list[Number]:
        """The sum, then the count of each bucket."""
        return [self.total, *self.counts]


class Tally:
    """A counter or a gauge."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number: Number = 0

    def add(self, value: Number) -> None:
        """Move by a value."""
        self.number += value

    def value(self) -> Number:
        """The number now."""
        return self.number
