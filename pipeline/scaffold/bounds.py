"""Metrics and gate of a recipe, from what guessing without a model reaches on the same data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING

from pipeline.scaffold.prose import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WAY = 0.1  # share of the way from guessing to no error that a model must go
ERRORS = 2  # standard errors of the test split that it must be better than guessing
MOST_WAY = 0.5
RARE = 0.2  # a class with less than this share of what it would have among equals is rare
OF_MEAN = 0.9  # share of the error of one constant answer that a model may have


@dataclass(frozen=True)
class Bounds:
    """What a recipe's metrics and gate say.

    Attributes:
        baseline: What guessing reaches, in words.
        reason: Where the bound comes from, for a comment.
        at_least: Lower bounds by metric.
        at_most: Upper bounds by metric.
        no_worse: By how much a metric may fall behind the live model's.
        quick: Lower bounds of a --quick run.
        positive: The rarer of two classes; empty for more.
        balanced: Whether the recipe's `score` gives the mean recall of the classes.
        class_weight: Power of the inverse frequency that weights a class.
    """

    baseline: str
    reason: str
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    no_worse: Mapping[str, float] = field(default_factory=dict)
    quick: Mapping[str, float] = field(default_factory=dict)
    positive: str = ""
    balanced: bool = False
    class_weight: float = 0.0


def of_classes(counts: Mapping[str, int], tested: float) -> Bounds:
    """Accuracy where the classes are of a size; the area under the curve or the mean recall where one is rare.

    Args:
        counts: Rows by class.
        tested: Rows of the test split, about.
    """
    rows, (majority, most) = sum(counts.values()), max(counts.items(), key=lambda item: item[1])
    share, rarest = most / rows, min(counts, key=lambda name: counts[name])
    positive = rarest if len(counts) == 2 else ""  # noqa: PLR2004
    guess = f"Guessing {plain(majority)} is right in {share:.3f} of the rows."
    if counts[rarest] * len(counts) < 2 * RARE * rows:
        return _unequal(counts, tested, guess, positive)
    bound = above(share, tested)
    return Bounds(
        guess,
        f"guessing {plain(majority)} reaches {share:.3f}; more must be beyond chance on about {tested:.0f} test rows",
        at_least={"accuracy": bound},
        no_worse={"accuracy": tolerance(bound, tested)},
        quick={"accuracy": round(1 / len(counts), 3)},
        positive=positive,
    )


def _unequal(counts: Mapping[str, int], tested: float, guess: str, positive: str) -> Bounds:
    rare = tested * min(counts.values()) / sum(counts.values())
    chance, metric = (0.5, "auc") if positive else (1 / len(counts), "balanced_accuracy")
    bound = above(chance, max(rare, 1.0) * len(counts))
    return Bounds(
        f"{guess} So accuracy says little here; the gate asks for "
        + ("the area under the curve." if positive else "the mean recall of the classes."),
        f"chance is {chance:.3g}; the rarest class has about {rare:.0f} test rows",
        at_least={metric: bound},
        no_worse={metric: tolerance(bound, rare * len(counts))},
        quick={metric: round(chance, 3)},
        positive=positive,
        balanced=not positive,
        class_weight=0.5,
    )


def above(chance: float, tested: float) -> float:
    """A tenth of the way from chance to 1 and two standard errors above it, but not more than half of the way."""
    error = math.sqrt(chance * (1 - chance) / max(tested, 1.0))
    step = min(max(WAY * (1 - chance), ERRORS * error), MOST_WAY * (1 - chance))
    return round(chance + step, 3)


def tolerance(bound: float, tested: float) -> float:
    """One standard error of a share, by which two equally good models differ."""
    return round(max(math.sqrt(bound * (1 - bound) / max(tested, 1.0)), 0.002), 3)


def of_numbers(values: Sequence[float]) -> Bounds:
    """The mean absolute error below nine tenths of what the best constant answer has."""
    middle = median(values)
    error = fmean(abs(value - middle) for value in values)
    return Bounds(
        f"Always answering the median, {middle:.4g}, errs by {error:.4g} on average.",
        f"always answering the median errs by {error:.4g}",
        at_most={"mae": rounded(OF_MEAN * error)},
        no_worse={"mae": rounded(0.05 * error)},
    )


def rounded(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")
