"""One thing that is counted of a feature: its cells, and how values fall into them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NUMBERS, CATEGORIES, WORDS = "numbers", "categories", "words"
BINS = 20
VALUES = 100
TOP_WORDS = 500


@dataclass(frozen=True)
class Axis:
    """Cells that rows are counted in.

    Attributes:
        feature: The feature.
        name: What of it is measured: "value", "brightness", …
        kind: "numbers": missing, below the lowest edge, on it, up to each further edge, above the highest one.
            "categories": missing, one for each value, all others.
            "words": one for each word; a row counts in the cells of all its words.
        points: The edges, values or words.
    """

    feature: str
    name: str
    kind: str
    points: tuple[Any, ...]

    @property
    def key(self) -> str:
        """Name of the axis among those of all features."""
        return self.feature if self.name == "value" else f"{self.feature}.{self.name}"

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.points) + {NUMBERS: 3, CATEGORIES: 2, WORDS: 0}[self.kind]

    def counts(self, values: Any) -> np.ndarray:
        """Rows per cell (cells,).

        Args:
            values: Numbers (rows,) with NaN where one is missing; or raw values (see `named`); or sets of words.
        """
        count = {NUMBERS: self._numbers, CATEGORIES: self._categories, WORDS: self._words}[self.kind]
        return count(values)

    def labels(self) -> list[str]:
        """What each cell holds, in words."""
        if self.kind == WORDS:
            return [str(word) for word in self.points]
        if self.kind == CATEGORIES:
            return ["missing", *map(str, self.points), "any other value"]
        edges = [f"{edge:.4g}" for edge in self.points]
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        return ["missing", f"below {edges[0]}", edges[0], *between, f"above {edges[-1]}"]

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        edges = np.asarray(self.points)
        cells = np.searchsorted(edges, values, side="left") + 2  # a value on an edge belongs to the cell below it
        cells[values < edges[0]] = 1
        cells[np.isnan(values)] = 0
        return np.bincount(cells, minlength=self.size)

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {point: place for place, point in enumerate(self.points)}

    def _categories(self, values: Iterable[Any]) -> np.ndarray:
        counts = np.zeros(self.size, np.int64)
        for value, count in Counter(values).items():
            name = named(value)
            counts[0 if name is None else self._places.get(name, self.size - 2) + 1] += count
        return counts

    def _words(self, texts: Iterable[set[str]]) -> np.ndarray:
        counts = np.zeros(self.size, np.int64)
        for words in texts:
            for word in words & self._places.keys():
                counts[self._places[word]] += 1
        return counts


def named(value: Any) -> str | None:
    """A raw value as a category's name; None for a missing one."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return None if value is None or value == "" else str(value)


def of_numbers(feature: str, name: str, values: np.ndarray) -> Axis:
    """An axis with as many values in each cell; single values that are frequent have cells of their own."""
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    edges = distinct if len(distinct) <= BINS else np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
    return Axis(feature, name, NUMBERS, tuple(edges.tolist()) or (0.0,))


def of_categories(feature: str, name: str, values: Sequence[Any]) -> Axis:
    """An axis of the most frequent values."""
    names = Counter({named(value): count for value, count in Counter(values).items()})
    names.pop(None, None)
    return Axis(feature, name, CATEGORIES, tuple(sorted(name for name, _ in names.most_common(VALUES) if name)))


def of_words(feature: str, name: str, texts: Counter[str]) -> Axis:
    """An axis of the words that most texts contain.

    Args:
        feature: The feature.
        name: Of the axis.
        texts: How many texts contain each word.
    """
    return Axis(feature, name, WORDS, tuple(word for word, _ in texts.most_common(TOP_WORDS)))
