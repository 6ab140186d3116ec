"""Drift and skew: distances between rows and the training data, and which of them are too large.

A limit is the sum of two numbers: the sampling noise, which is the distance by chance between two samples of these
sizes from one distribution, and a tolerance for harmless changes. So few requests raise no alert by chance, and many
requests raise none for a small change. The distances are those of TFDV's comparators; both are in [0, 1], are
symmetric, and are 0 for equal distributions only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from pipeline.monitoring import features as kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.random import Generator

    from pipeline.monitoring.features import Histogram
    from pipeline.monitoring.profile import Baseline, Profile


NOISE_DRAWS = 1000
DRIFT, MISSING, UNSEEN, RANGE = "drift", "missing", "unseen values", "out of range"
JENSEN_SHANNON, L_INFINITY, SHARE = "Jensen-Shannon", "L-infinity", "share"
FALSE_ALARM_RATE = 0.001  # share of the reports of undisturbed data that raise an alert, at most
MIN_ROWS = 30  # rows below which there is no result
SKEW_MEASURES = ("value", "words", "format")  # axes of raw values, which are checked for skew


def l_infinity(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Returns the largest change of a cell's share (TFDV: `infinity_norm`).

    Args:
        p: Shares (…, cells).
        q: Shares (…, cells).

    Returns:
        Distances (…).
    """
    return np.asarray(np.abs(p - q).max(axis=-1, initial=0.0))


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Returns the Jensen-Shannon divergence in bits (TFDV: `jensen_shannon_divergence`).

    J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37(1), 1991.

    Args:
        p: Shares (…, cells), which sum to 1.
        q: Shares (…, cells), which sum to 1.

    Returns:
        Divergences (…).
    """
    middle = (p + q) / 2
    return np.clip((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2, 0.0, 1.0)


def _relative_entropy(p: np.ndarray, middle: np.ndarray) -> np.ndarray:
    there = p > 0
    ratio = np.divide(p, middle, out=np.ones_like(middle), where=there)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))


def l_infinity_noise(shares: np.ndarray, counts: tuple[int, int], alpha: float) -> float:
    """Returns a bound on the L-infinity distance by Bernstein's inequality, over all cells at once.

    S. Boucheron, G. Lugosi, P. Massart, Concentration inequalities, 2013, theorem 2.10. Cells need not exclude each
    other: the bound holds for the shares of texts that contain a word, too.

    Args:
        shares: Shares of both samples together (cells,).
        counts: Sizes of the two samples.
        alpha: Probability that the distance is larger by chance.
    """
    variance = (shares * (1 - shares)).max(initial=0.0) * sum(1 / count for count in counts)
    level = math.log(2 * max(len(shares), 1) / alpha)
    jump = level / (3 * min(counts))
    return float(min(jump + math.sqrt(jump**2 + 2 * variance * level), 1.0))


def jensen_shannon_noise(shares: np.ndarray, counts: tuple[int, int], alpha: float, random: Generator) -> float:
    """Returns a bound on the Jensen-Shannon divergence, by drawing both samples repeatedly.

    The divergence is nearly a multiple of a chi-square, whose cube root is nearly normal (E. B. Wilson, M. M. Hilferty,
    The distribution of chi-square, PNAS 17, 1931), so that few draws are enough to estimate its tail.

    Args:
        shares: Shares of both samples together (cells,), which sum to 1.
        counts: Sizes of the two samples.
        alpha: Probability that the divergence is larger by chance.
        random: Draws the samples.
    """
    first, other = (random.multinomial(count, shares, NOISE_DRAWS) / count for count in counts)
    roots = np.cbrt(jensen_shannon(first, other))
    tail = roots.mean() + NormalDist().inv_cdf(1 - alpha) * roots.std()
    return float(
        min(max(tail, roots.max()) ** 3, 1.0)
    )  # with rare values, the largest drawn one may be larger than the estimate


# Tolerances: a shift of a number by a third of a standard deviation, and a change of value in a twentieth of the rows.
TOLERANCE = {JENSEN_SHANNON: 0.02, L_INFINITY: 0.05, SHARE: 0.02}


@dataclass(frozen=True)
class Finding:
    """Result of one comparison.

    Attributes:
        feature: The feature.
        key: The axis.
        check: "drift", or a kind of skew: "missing", "unseen values" or "out of range".
        distance: "Jensen-Shannon" (bits), "L-infinity" or "share".
        value: The distance; for a share, its increase.
        chance: Sampling noise: the distance by chance.
        allowed: Tolerance for harmless changes.
        rows: Rows that were compared.
        training: Rows of the training data.
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
        """The largest distance without an alert."""
        return min(self.chance + self.allowed, 1.0)

    @property
    def alert(self) -> bool:
        """Whether the distance is above its limit."""
        return self.rows >= MIN_ROWS and self.value > self.limit

    @property
    def severity(self) -> float:
        """The distance divided by its limit."""
        return self.value / self.limit


def compare(sides: Sequence[Sides], allowed: Mapping[str, float] | None = None) -> list[Finding]:
    """Compares both sides on all axes.

    Args:
        sides: Training data and rows by axis (see `pair_sides`).
        allowed: Tolerances by feature or axis, in place of the defaults.
    """
    checks = [(entry, check, name) for entry in sides for check, name in _checks_of(entry.axis)]
    random = np.random.default_rng(0)
    return [_make_finding(*entry, FALSE_ALARM_RATE / len(checks), random, allowed or {}) for entry in checks]


def _make_finding(
    sides: Sides, check: str, name: str, alpha: float, random: np.random.Generator, allowed: Mapping[str, float]
) -> Finding:
    axis, (before, now) = sides.axis, sides.sizes
    value, shares = _measure_drift(sides, name) if check == DRIFT else _measure_skew(sides, check)
    bound = partial(jensen_shannon_noise, random=random) if name == JENSEN_SHANNON else l_infinity_noise
    own = allowed.get(axis.key, allowed.get(axis.feature, TOLERANCE[name])) if check == DRIFT else TOLERANCE[name]
    noise = bound(shares, sides.sizes, alpha)
    return Finding(axis.feature, axis.key, check, name, value, noise, own, now, before, sides.cells)


def _checks_of(axis: Histogram) -> list[tuple[str, str]]:
    """Returns the checks of an axis, each with its distance.

    Categories have both distances: with many values, L-infinity does not detect that all have changed a little.
    """
    drift = {
        kinds.NUMBERS: [JENSEN_SHANNON],
        kinds.CATEGORIES: [L_INFINITY, JENSEN_SHANNON],
        kinds.WORDS: [L_INFINITY],
    }[axis.kind]
    skew = {kinds.NUMBERS: [MISSING, RANGE], kinds.CATEGORIES: [MISSING, UNSEEN], kinds.WORDS: []}[axis.kind]
    shares = [(check, SHARE) for check in skew] if axis.name in SKEW_MEASURES else []
    return [*((DRIFT, name) for name in drift), *shares]


@dataclass(frozen=True)
class Sides:
    """One axis on both sides: rows per cell, and all rows."""

    axis: Histogram
    before: np.ndarray
    now: np.ndarray
    sizes: tuple[int, int]

    @property
    def cells(self) -> tuple[tuple[str, float, float], ...]:
        """Label and both shares of each cell."""
        shares = (self.before / self.sizes[0], self.now / self.sizes[1])
        return tuple(zip(self.axis.labels(), *(side.tolist() for side in shares), strict=True))


def pair_sides(frame: Baseline, names: Collection[str], profile: Profile) -> list[Sides]:
    """Pairs training data and rows on all axes on which both have rows.

    Args:
        frame: The baseline.
        names: Names of the features that are compared.
        profile: Counts of the rows on the axes of the baseline.
    """
    axes = [entry for entry in frame.axes if entry.feature in names and entry.key in profile.counts]
    sides = [_pair_axis(entry, frame.training, profile) for entry in axes]
    return [entry for entry in sides if min(entry.sizes) > 0]


def _pair_axis(axis: Histogram, training: Profile, profile: Profile) -> Sides:
    before, now = training.counts[axis.key], profile.counts[axis.key]
    if axis.kind == kinds.WORDS:  # a text has many words
        return Sides(axis, before, now, (training.rows, profile.rows))
    return Sides(axis, before, now, (int(before.sum()), int(now.sum())))


def _measure_drift(sides: Sides, name: str) -> tuple[float, np.ndarray]:
    """Returns the distance, and the shares of both sides together (cells,)."""
    between = jensen_shannon if name == JENSEN_SHANNON else l_infinity
    value = between(sides.before / sides.sizes[0], sides.now / sides.sizes[1])
    return float(value), (sides.before + sides.now) / sum(sides.sizes)


def _measure_skew(sides: Sides, check: str) -> tuple[float, np.ndarray]:
    """Returns the increase of a share of the rows, and that share of both sides together."""
    places = {MISSING: [0], UNSEEN: [-1], RANGE: [1, -1]}[check]
    before, now = int(sides.before[places].sum()), int(sides.now[places].sum())
    grown = max(now / sides.sizes[1] - before / sides.sizes[0], 0.0)
    return grown, np.array([(before + now) / sum(sides.sizes)])
