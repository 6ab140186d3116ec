"""Rows beside the training data: distances, what chance explains of them, and which are too large.

A limit is the sum of two numbers: what chance reaches between samples of these sizes although nothing has changed, and
what may change without harm. So few requests raise no alert by accident, and many raise none for a trifle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pipeline.monitoring import axis as kinds
from pipeline.monitoring import chance, distance

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.monitoring.axis import Axis
    from pipeline.monitoring.frame import Frame
    from pipeline.monitoring.profile import Profile

DRIFT, MISSING, UNSEEN, RANGE = "drift", "missing", "unseen values", "out of range"
JENSEN_SHANNON, L_INFINITY, SHARE = "Jensen-Shannon", "L-infinity", "share"
# Without harm: numbers that shift by a third of a deviation, and a twentieth of the rows with another value.
ALLOWED = {JENSEN_SHANNON: 0.02, L_INFINITY: 0.05, SHARE: 0.02}
FALSE_ALARM = 0.001  # share of the reports of undisturbed data that raise an alert, at most
FEWEST = 30  # rows below which nothing is said
WHOLE = ("value", "words", "format")  # axes of a value as it stands, on which skew shows


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        feature: The feature.
        key: The axis.
        check: "drift", or a kind of skew: "missing", "unseen values" or "out of range".
        distance: "Jensen-Shannon" (bits), "L-infinity" or "share".
        value: The distance; of a share by how much it has grown.
        chance: What chance reaches.
        allowed: What may change without harm.
        rows: Rows that were compared.
        training: Rows of the training data that they were compared with.
        cells: Label, share in training and share in the rows of each cell.
    """

    feature: str
    key: str
    check: str
    distance: str
    value: float
    chance: float
    allowed: float
    rows: int
    training: int
    cells: tuple[tuple[str, float, float], ...]

    @property
    def limit(self) -> float:
        """What the distance may reach."""
        return min(self.chance + self.allowed, 1.0)

    @property
    def alert(self) -> bool:
        """Whether it is too large."""
        return self.rows >= FEWEST and self.value > self.limit

    @property
    def severity(self) -> float:
        """The distance in parts of its limit."""
        return self.value / self.limit


def findings(sides: Sequence[Sides], allowed: Mapping[str, float] | None = None) -> list[Finding]:
    """All comparisons.

    Args:
        sides: What is compared (see `sides_of`).
        allowed: What may change without harm, by feature or axis, in place of the usual.
    """
    checks = [(one, check, name) for one in sides for check, name in _checks(one.axis)]
    random = np.random.default_rng(0)
    return [_finding(*one, FALSE_ALARM / len(checks), random, allowed or {}) for one in checks]


def _finding(
    sides: Sides, check: str, name: str, alpha: float, random: np.random.Generator, allowed: Mapping[str, float]
) -> Finding:
    axis, (before, now) = sides.axis, sides.sizes
    value, shares = _drift(sides, name) if check == DRIFT else _skew(sides, check)
    bound = partial(chance.jensen_shannon, random=random) if name == JENSEN_SHANNON else chance.l_infinity
    own = allowed.get(axis.key, allowed.get(axis.feature, ALLOWED[name])) if check == DRIFT else ALLOWED[name]
    reached = bound(shares, sides.sizes, alpha)
    return Finding(axis.feature, axis.key, check, name, value, reached, own, now, before, sides.cells)


def _checks(axis: Axis) -> list[tuple[str, str]]:
    """The checks of an axis, each with its distance.

    Categories have both distances: among many values L-infinity does not see that all have changed a little.
    """
    drift = {
        kinds.NUMBERS: [JENSEN_SHANNON],
        kinds.CATEGORIES: [L_INFINITY, JENSEN_SHANNON],
        kinds.WORDS: [L_INFINITY],
    }[axis.kind]
    skew = {kinds.NUMBERS: [MISSING, RANGE], kinds.CATEGORIES: [MISSING, UNSEEN], kinds.WORDS: []}[axis.kind]
    shares = [(check, SHARE) for check in skew] if axis.name in WHOLE else []
    return [*((DRIFT, name) for name in drift), *shares]


@dataclass(frozen=True)
class Sides:
    """One axis on both sides: rows per cell, and rows in all."""

    axis: Axis
    before: np.ndarray
    now: np.ndarray
    sizes: tuple[int, int]

    @property
    def cells(self) -> tuple[tuple[str, float, float], ...]:
        """Label and both shares of each cell."""
        shares = (self.before / self.sizes[0], self.now / self.sizes[1])
        return tuple(zip(self.axis.labels(), *(side.tolist() for side in shares), strict=True))


def sides_of(frame: Frame, names: Collection[str], found: Profile) -> list[Sides]:
    """Training data and rows on all axes on which both have rows.

    Args:
        frame: The training data.
        names: Names of the features that are compared.
        found: What the rows count on the axes of the frame.
    """
    axes = [one for one in frame.axes if one.feature in names and one.key in found.counts]
    sides = [_sides(one, frame.training, found) for one in axes]
    return [one for one in sides if min(one.sizes) > 0]


def _sides(axis: Axis, training: Profile, found: Profile) -> Sides:
    before, now = training.counts[axis.key], found.counts[axis.key]
    if axis.kind == kinds.WORDS:  # a text has many words
        return Sides(axis, before, now, (training.rows, found.rows))
    return Sides(axis, before, now, (int(before.sum()), int(now.sum())))


def _drift(sides: Sides, name: str) -> tuple[float, np.ndarray]:
    """The distance, and the shares of both sides together."""
    between = distance.jensen_shannon if name == JENSEN_SHANNON else distance.l_infinity
    value = between(sides.before / sides.sizes[0], sides.now / sides.sizes[1])
    return float(value), (sides.before + sides.now) / sum(sides.sizes)


def _skew(sides: Sides, check: str) -> tuple[float, np.ndarray]:
    """By how much a share of the rows has grown, and that share of both sides together."""
    places = {MISSING: [0], UNSEEN: [-1], RANGE: [1, -1]}[check]
    before, now = int(sides.before[places].sum()), int(sides.now[places].sum())
    grown = max(now / sides.sizes[1] - before / sides.sizes[0], 0.0)
    return grown, np.array([(before + now) / sum(sides.sizes)])
