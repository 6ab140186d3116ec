"""Some of many items, evenly spread over all of them, before it is known how many there will be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class EvenSample:
    """Every n-th of the items that come; n doubles whenever they are too many or too large.

    Items that come sorted by class are in the sample by their share, as in a systematic sample (W. Cochran, Sampling
    techniques, 3rd edition, 1977, chapter 8).

    Attributes:
        most: Items that stay, at most.
        largest: Sum of their sizes, at most; a single item may be larger.
        step: n.
        count: Items that have come.
        items: The sample.
        sizes: Their sizes.
    """

    most: int
    largest: int
    step: int = 1
    count: int = 0
    items: list[Any] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def is_next(self) -> bool:
        """Counts one item, and returns whether it is to be added."""
        self.count += 1
        return (self.count - 1) % self.step == 0

    def add(self, item: Any, size: int) -> None:
        """Adds an item after `is_next`.

        Args:
            item: The item.
            size: Its size, in the unit of `largest`.
        """
        self.items.append(item)
        self.sizes.append(size)
        while len(self.items) > 1 and (len(self.items) > self.most or sum(self.sizes) > self.largest):
            self.items, self.sizes, self.step = self.items[::2], self.sizes[::2], 2 * self.step
