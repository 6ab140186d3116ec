"""Raw features and their histograms: the kind of a feature, its measures, and how they are counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring import measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


MAX_INTEGER_CATEGORIES = 32  # integers with at most this many values are categories
MIN_TEXT_WORDS = 3.0  # mean number of words from which bytes that rarely repeat are a text
SCORE_DECIMALS = 6  # decimals of a component
MAX_OUTLINE = 32  # numbers that longer vectors are reduced to
HEAVY_ROLES = ("image", "audio", "text")  # a row costs far more than a number
NUMBERS, CATEGORIES, WORDS = "numbers", "categories", "words"
BINS = 20
MAX_CATEGORIES = 100
MAX_WORDS = 500


@dataclass(frozen=True)
class Feature:
    """A raw feature and how it is counted.

    Attributes:
        name: The feature.
        role: "number", "category", "text", "image", "audio" or "vector".
        axes: Its histograms.
        center: Mean outline in training (numbers,); empty if there are no outlines.
        basis: Principal components of the outlines in training, divided by their deviations; as long as `center`.
        vocabulary: Words of the training data.
    """

    name: str
    role: str
    axes: tuple[Histogram, ...]
    center: tuple[float, ...] = ()
    basis: tuple[tuple[float, ...], ...] = ()
    vocabulary: frozenset[str] = frozenset()

    def counts(self, values: Sequence[Any]) -> dict[str, np.ndarray]:
        """Returns rows per cell (cells,) of each axis, by the axis' key."""
        columns = self._add_learned_measures(measure(self.role, values))
        return {histogram.key: histogram.counts(columns[histogram.name]) for histogram in self.axes}

    def _add_learned_measures(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Adds the measures that depend on the training data: components and unknown words."""
        if self.basis:
            outlines = columns["outline"]
            if outlines.shape[1] != len(self.center):
                outlines = np.full((len(outlines), len(self.center)), np.nan)
            scores = project_outlines(outlines, np.asarray(self.center), np.asarray(self.basis))
            columns |= {f"component {number}": scores[:, number - 1] for number in range(1, scores.shape[1] + 1)}
        if self.role == "text":
            columns["unknown words"] = measures.unknown_share(columns["vocabulary"], self.vocabulary)
        return columns


def detect_role(values: Sequence[Any]) -> str:
    """Returns the kind of a feature from some of its values; empty if all are missing."""
    there = [value for value in values if value is not None and not (isinstance(value, bytes) and not value)]
    if not there:
        return ""
    if any(isinstance(value, np.ndarray) for value in there):
        return "vector"
    if isinstance(there[0], bytes):
        return _detect_bytes_role(there)
    whole = all(isinstance(value, int) for value in there)
    return "category" if whole and len(set(there)) <= MAX_INTEGER_CATEGORIES else "number"


def _detect_bytes_role(values: Sequence[bytes]) -> str:
    for role, is_role in (("image", measures.is_image), ("audio", measures.is_recording)):
        if sum(map(is_role, values)) > len(values) / 2:
            return role
    wordy = np.mean([len(measures.split_words(value)) for value in values]) > MIN_TEXT_WORDS
    return "text" if wordy and len(set(values)) > len(values) / 2 else "category"


def measure(role: str, values: Sequence[Any]) -> dict[str, Any]:
    """Returns measures of a feature's values, by name: numbers (rows,), categories, sets of words, and `outline`."""
    by_role = {
        "image": measures.measure_images,
        "audio": measures.measure_recordings,
        "text": measures.measure_texts,
    }
    if role in by_role:
        return by_role[role](values)
    if role == "vector":
        return _measure_vector(values)
    return {"value": _to_numbers(values) if role == "number" else values}


def project_outlines(outlines: np.ndarray, center: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Projects outlines (rows, numbers) onto a basis; returns (rows, components), with the deviation 1 in training.

    The result is rounded, because the last bits of a matrix product depend on the number of rows, so that
    equal rows could fall on different sides of an edge.
    """
    return np.asarray(np.round((outlines - center) @ basis.T, SCORE_DECIMALS))


def _to_numbers(values: Sequence[Any]) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        return np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)


def _measure_vector(values: Sequence[Any]) -> dict[str, Any]:
    size = max((np.size(value) for value in values if value is not None), default=1)
    table = np.full((len(values), size), np.nan)
    for row, value in enumerate(values):
        if value is not None:
            table[row, : np.size(value)] = np.ravel(value)
    parts = np.array_split(table, min(size, MAX_OUTLINE), axis=1)
    outline = np.stack([part.mean(axis=1) for part in parts], axis=1)
    there = ~np.isnan(table)
    count = np.maximum(there.sum(axis=1), 1)
    mean = np.where(there, table, 0).sum(axis=1) / count
    spread = np.sqrt(np.where(there, (table - mean[:, None]) ** 2, 0).sum(axis=1) / count)
    none = ~there.any(axis=1)
    gaps = 1 - there.mean(axis=1)
    return {
        "mean": np.where(none, np.nan, mean),
        "deviation": np.where(none, np.nan, spread),
        "gaps": gaps,
        "outline": outline,
    }


@dataclass(frozen=True)
class Histogram:
    """The cells of one measure, in which rows are counted.

    Attributes:
        feature: The feature.
        name: The measure: "value", "brightness", …
        kind: "numbers": missing, below the lowest edge, on it, up to each further edge, above the highest one.
            "categories": cells for missing, each value, and all others.
            "words": a cell for each word; a row counts in the cells of all its words.
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
        """Returns rows per cell (cells,).

        Args:
            values: Numbers (rows,) with NaN for missing ones; or raw values (see `category_name`); or sets of words.
        """
        count = {NUMBERS: self._count_numbers, CATEGORIES: self._count_categories, WORDS: self._count_words}[self.kind]
        return count(values)

    def labels(self) -> list[str]:
        """Returns a label for each cell."""
        if self.kind == WORDS:
            return [str(word) for word in self.points]
        if self.kind == CATEGORIES:
            return ["missing", *map(str, self.points), "any other value"]
        edges = [f"{edge:.4g}" for edge in self.points]
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        return ["missing", f"below {edges[0]}", edges[0], *between, f"above {edges[-1]}"]

    def _count_numbers(self, values: np.ndarray) -> np.ndarray:
        edges = np.asarray(self.points)
        cells = np.searchsorted(edges, values, side="left") + 2  # a value on an edge belongs to the cell below it
        cells[values < edges[0]] = 1
        cells[np.isnan(values)] = 0
        return np.bincount(cells, minlength=self.size)

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {point: place for place, point in enumerate(self.points)}

    def _count_categories(self, values: Iterable[Any]) -> np.ndarray:
        counts = np.zeros(self.size, np.int64)
        for value, count in Counter(values).items():
            name = category_name(value)
            counts[0 if name is None else self._places.get(name, self.size - 2) + 1] += count
        return counts

    def _count_words(self, texts: Iterable[set[str]]) -> np.ndarray:
        counts = np.zeros(self.size, np.int64)
        for words in texts:
            for word in words & self._places.keys():
                counts[self._places[word]] += 1
        return counts


def category_name(value: Any) -> str | None:
    """Returns the category's name of a raw value; None for a missing one."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return None if value is None or value == "" else str(value)


def number_histogram(feature: str, name: str, values: np.ndarray) -> Histogram:
    """Builds a histogram with equally many values in each cell; frequent single values get separate cells."""
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    edges = distinct if len(distinct) <= BINS else np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
    return Histogram(feature, name, NUMBERS, tuple(edges.tolist()) or (0.0,))


def category_histogram(feature: str, name: str, values: Sequence[Any]) -> Histogram:
    """Builds a histogram of the most frequent values."""
    names = Counter({category_name(value): count for value, count in Counter(values).items()})
    names.pop(None, None)
    return Histogram(
        feature, name, CATEGORIES, tuple(sorted(name for name, _ in names.most_common(MAX_CATEGORIES) if name))
    )


def word_histogram(feature: str, name: str, texts: Counter[str]) -> Histogram:
    """Builds a histogram of the words that most texts contain.

    Args:
        feature: The feature.
        name: The measure.
        texts: Number of texts that contain each word.
    """
    return Histogram(feature, name, WORDS, tuple(word for word, _ in texts.most_common(MAX_WORDS)))
