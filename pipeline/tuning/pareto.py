"""The Pareto front of several objectives: the trials that no other trial beats.

Source: K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE
Transactions on Evolutionary Computation 6(2), 2002, section III (dominance).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.tuning.trial import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tuning.objectives import Objective
    from pipeline.tuning.trial import Trial


def dominates(one: Trial, other: Trial, objectives: Sequence[Objective]) -> bool:
    """Whether a trial is as good as another in all objectives, and better in at least one."""
    pairs = list(zip(losses(one, objectives), losses(other, objectives), strict=True))
    return all(left <= right for left, right in pairs) and any(left < right for left, right in pairs)


def losses(trial: Trial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Returns the values of a complete trial in the order of the objectives, smaller for better ones."""
    return tuple(objective.loss(trial.values[objective.name]) for objective in objectives)


def pareto_front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Returns the complete trials that no other dominates, ordered by the first objective, the best first.

    Of trials with equal values only the first is a point.
    """
    first: dict[tuple[float, ...], Trial] = {}
    for trial in trials:
        if trial.state == COMPLETE:
            first.setdefault(losses(trial, objectives), trial)
    points = list(first.values())
    front = [point for point in points if not any(dominates(other, point, objectives) for other in points)]
    return sorted(front, key=lambda trial: losses(trial, objectives))


def balanced_point(front: Sequence[Trial], objectives: Sequence[Objective]) -> Trial | None:
    """Returns the point that is nearest to the best of each objective, each scaled to the front; None without points.

    Works as a suggestion only: which point is right depends on what a millisecond or a megabyte is worth.
    """
    if not front:
        return None
    rows = [losses(trial, objectives) for trial in front]
    low = [min(column) for column in zip(*rows, strict=True)]
    spread = [(max(column) - min(column)) or 1.0 for column in zip(*rows, strict=True)]

    def distance(trial: Trial) -> float:
        offsets = [loss - least for loss, least in zip(losses(trial, objectives), low, strict=True)]
        return math.hypot(*(offset / width for offset, width in zip(offsets, spread, strict=True)))

    return min(front, key=distance)
