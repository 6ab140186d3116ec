"""A raw feature: what kind it is, what is measured of it, and the axes that this is counted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring import audio, image, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.monitoring.axis import Axis

FEW = 32  # whole numbers with at most so many values are categories
WORDY = 3.0  # words in the mean, from which on bytes that seldom repeat are a text
DECIMALS = 6  # of a component
SEGMENTS = 32  # numbers that a longer vector is shortened to
HEAVY = ("image", "audio", "text")  # a row costs far more than a number


@dataclass(frozen=True)
class Feature:
    """A raw feature and how it is counted.

    Attributes:
        name: The feature.
        role: "number", "category", "text", "image", "audio" or "vector".
        axes: What is counted.
        center: Mean outline in training (numbers,); empty where there are no outlines.
        basis: Principal components of the outlines in training over their deviations, as long as `center`.
        vocabulary: Words that are known from training.
    """

    name: str
    role: str
    axes: tuple[Axis, ...]
    center: tuple[float, ...] = ()
    basis: tuple[tuple[float, ...], ...] = ()
    vocabulary: frozenset[str] = frozenset()

    def counts(self, values: Sequence[Any]) -> dict[str, np.ndarray]:
        """Rows per cell of each axis, by the axis' key."""
        found = self._completed(measured(self.role, values))
        return {one.key: one.counts(found[one.name]) for one in self.axes}

    def _completed(self, found: dict[str, Any]) -> dict[str, Any]:
        """Measures together with those that need what is known from training."""
        if self.basis:
            outlines = found["outline"]
            if outlines.shape[1] != len(self.center):
                outlines = np.full((len(outlines), len(self.center)), np.nan)
            scores = components(outlines, np.asarray(self.center), np.asarray(self.basis))
            found |= {f"component {number}": scores[:, number - 1] for number in range(1, scores.shape[1] + 1)}
        if self.role == "text":
            found["unknown words"] = text.unknown(found["vocabulary"], self.vocabulary)
        return found


def role_of(values: Sequence[Any]) -> str:
    """What kind of feature some of its values are; empty where all are missing."""
    there = [value for value in values if value is not None and not (isinstance(value, bytes) and not value)]
    if not there:
        return ""
    if any(isinstance(value, np.ndarray) for value in there):
        return "vector"
    if isinstance(there[0], bytes):
        return _role_of_bytes(there)
    whole = all(isinstance(value, int) for value in there)
    return "category" if whole and len(set(there)) <= FEW else "number"


def _role_of_bytes(values: Sequence[bytes]) -> str:
    for role, looks_so in (("image", image.looks_so), ("audio", audio.looks_so)):
        if sum(map(looks_so, values)) > len(values) / 2:
            return role
    wordy = np.mean([len(text.words(value)) for value in values]) > WORDY
    return "text" if wordy and len(set(values)) > len(values) / 2 else "category"


def measured(role: str, values: Sequence[Any]) -> dict[str, Any]:
    """Measures of a feature's values, by name: numbers (rows,), categories, sets of words, and `outline`."""
    modules = {"image": image, "audio": audio, "text": text}
    if role in modules:
        found: dict[str, Any] = modules[role].measured(values)
        return found
    if role == "vector":
        return _vector(values)
    return {"value": _numbers(values) if role == "number" else values}


def components(outlines: np.ndarray, center: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Outlines (rows, numbers) in the directions of a basis (rows, components), with the deviation 1 in training.

    Rounded, because a product of matrices differs in its last bits with the number of rows, and what repeats in the
    data would fall now on this side of an edge and now on that.
    """
    return np.asarray(np.round((outlines - center) @ basis.T, DECIMALS))


def _numbers(values: Sequence[Any]) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        return np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)


def _vector(values: Sequence[Any]) -> dict[str, Any]:
    size = max((np.size(value) for value in values if value is not None), default=1)
    table = np.full((len(values), size), np.nan)
    for row, value in enumerate(values):
        if value is not None:
            table[row, : np.size(value)] = np.ravel(value)
    parts = np.array_split(table, min(size, SEGMENTS), axis=1)
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
