"""How a feature is counted, found out from values of the training data."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring import axis, image
from pipeline.monitoring.axis import Axis
from pipeline.monitoring.feature import Feature, components, measured

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPONENTS = 4
NEGLIGIBLE = 1e-6  # of the first component's deviation
VOCABULARY = 50_000
SHARES = tuple(np.linspace(0, 1, axis.BINS + 1).round(2).tolist())


class Fitting:
    """Collects what is measured of a feature, and draws its axes; of images and texts nothing else is kept.

    Args:
        name: The feature.
        role: What kind it is.
    """

    def __init__(self, name: str, role: str) -> None:
        self.name, self.role = name, role
        self._found: dict[str, list[Any]] = {}
        self._texts: Counter[str] = Counter()  # in how many texts a word is

    def add(self, values: Sequence[Any]) -> None:
        """Takes values in."""
        for measure, part in measured(self.role, values).items():
            if measure == "vocabulary":
                self._texts.update(word for words in part for word in words)
            else:
                self._found.setdefault(measure, []).append(part)

    def feature(self) -> Feature:
        """The feature with its axes."""
        found = dict(self._found)
        outlines = np.concatenate(found.pop("outline", [np.empty((0, 0))]))
        outlines = outlines[~np.isnan(outlines).any(axis=1)]
        center, basis = _components(outlines)
        axes = [self._axis(measure, parts) for measure, parts in found.items()]
        for number, scores in enumerate(components(outlines, center, basis).T if len(basis) else (), 1):
            axes.append(axis.of_numbers(self.name, f"component {number}", scores))
        axes = _without_grey(axes) if self.role == "image" else axes + self._of_texts()
        known = frozenset(word for word, _ in self._texts.most_common(VOCABULARY))
        return Feature(self.name, self.role, tuple(axes), tuple(center.tolist()), _nested(basis), known)

    def _axis(self, measure: str, parts: list[Any]) -> Axis:
        if isinstance(parts[0], np.ndarray):
            return axis.of_numbers(self.name, measure, np.concatenate(parts))
        return axis.of_categories(self.name, measure, [value for part in parts for value in part])

    def _of_texts(self) -> list[Axis]:
        """The axes of the words; fixed shares, since the words of the texts at hand are all known."""
        if not self._texts:
            return []
        unknown = Axis(self.name, "unknown words", axis.NUMBERS, SHARES)
        return [unknown, axis.of_words(self.name, "vocabulary", self._texts)]


def _nested(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, table.tolist()))


def _without_grey(axes: list[Axis]) -> list[Axis]:
    """Drops the colours of grey images, which are their brightness again."""
    edges = {one.name: one.points for one in axes}
    grey = all(edges[colour] == edges["red"] for colour in image.COLOURS)
    return [one for one in axes if not (grey and one.name in image.COLOURS)]


def _components(outlines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (numbers,) and principal components over their deviations (components, numbers) of outlines."""
    if len(outlines) <= COMPONENTS:
        return np.empty(0), np.empty((0, 0))
    center = outlines.mean(axis=0)
    _, weights, directions = np.linalg.svd(outlines - center, full_matrices=False)
    there = weights[:COMPONENTS] > weights[0] * NEGLIGIBLE
    deviations = weights[:COMPONENTS][there] / np.sqrt(len(outlines))
    return center, directions[:COMPONENTS][there] / deviations[:, None]
