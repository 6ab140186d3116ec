"""Latencies in bounded memory: counts in buckets that grow by 1 %, as HdrHistogram's do by significant digits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROWTH = 1.01
_STEP = math.log(_GROWTH)
_LOWEST_S = 1e-6
_HIGHEST_S = 1e5
_BUCKETS = math.ceil(math.log(_HIGHEST_S / _LOWEST_S) / _STEP)


class Histogram:
    """Counts of durations from 1 microsecond to a day.

    A percentile is off by at most 0.5 %; `count`, `lowest`, `highest` and `mean` are exact.

    Attributes:
        count: How many were recorded.
        lowest: The shortest, in seconds.
        highest: The longest, in seconds.
    """

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.lowest = math.inf
        self.highest = 0.0
        self._sum = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self._sum += seconds
        self.lowest = min(self.lowest, seconds)
        self.highest = max(self.highest, seconds)
        index = int(math.log(seconds / _LOWEST_S) / _STEP) if seconds > _LOWEST_S else 0
        self._counts[min(index, _BUCKETS - 1)] += 1

    @property
    def mean(self) -> float:
        """Mean in seconds; 0 where nothing was recorded."""
        return self._sum / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """The duration in seconds that `percent` % of all do not exceed; 0 where nothing was recorded.

        It is the value of the nearest rank, not between two ranks: a value that occurred.
        """
        rank = max(1, math.ceil(self.count * percent / 100))
        if rank >= self.count:
            return self.highest
        seen = 0
        for middle, count in self._buckets():
            seen += count
            if seen >= rank:
                return min(max(middle, self.lowest), self.highest)
        return 0.0

    def rows(self, wanted: int = 16) -> list[tuple[float, float, int]]:
        """From, to (both in seconds) and count of up to `wanted` wider buckets, even on a log scale."""
        if not self.count:
            return []
        low, high = max(self.lowest, _LOWEST_S), max(self.highest, _LOWEST_S) * _GROWTH
        width = max(math.log(high / low) / wanted, _STEP)
        counts = [0] * math.ceil(math.log(high / low) / width - 1e-9)
        for middle, count in self._buckets():
            counts[min(max(int(math.log(middle / low) / width), 0), len(counts) - 1)] += count
        edges = [low * math.exp(width * i) for i in range(len(counts) + 1)]
        return list(zip(edges, edges[1:], counts, strict=False))

    def _buckets(self) -> Iterator[tuple[float, int]]:
        """The middle on the log scale, in seconds, and the count of every bucket that holds something."""
        for index, count in enumerate(self._counts):
            if count:
                yield _LOWEST_S * math.exp((index + 0.5) * _STEP), count
