"""What an evaluation found, and the gate's decision in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.recipe import Recipe


@dataclass(frozen=True)
class Verdict:
    """What the evaluation found.

    Attributes:
        metrics: Of the candidate, over the whole test split.
        baseline: Of the live model on the same examples; None without one.
        slices: {"slice", "examples", "metrics"} of the candidate.
        confusion: Counts, rows are the truth; empty for numbers.
        reasons: Why the candidate is not blessed; empty if it is.
    """

    metrics: Mapping[str, float]
    baseline: Mapping[str, float] | None
    slices: list[dict[str, Any]]
    confusion: list[list[int]]
    reasons: list[str]


def missed(
    name: str,
    values: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    recipe: Recipe,
    where: str = "",
    *,
    quick: bool,
) -> list[str]:
    """The bounds of the gate that a metric misses, in words; empty if it keeps them.

    Args:
        name: The metric.
        values: The candidate's metrics.
        baseline: The live model's; None without one.
        recipe: Has the gate.
        where: The slice, such as "label=7"; empty for the whole test split.
        quick: Whether the bounds of a --quick run count.
    """
    gate, reasons = recipe.gate, []
    value, at = values.get(name, float("nan")), spot(where)
    low = gate.slices.get(where.partition("=")[0], {}) if where else gate.quick if quick else gate.at_least
    if name in low and not value >= low[name]:
        reasons.append(f"{name}{at} is {value:.4f}, at least {low[name]:g} is required")
    if not where and not quick and name in gate.at_most and not value <= gate.at_most[name]:
        reasons.append(f"{name}{at} is {value:.4f}, at most {gate.at_most[name]:g} is required")
    allowed = gate.no_worse.get(name)
    if not where and baseline and allowed is not None and not _worse(name, value, baseline, recipe) <= allowed:
        reasons.append(
            f"{name}{at} is {value:.4f}, the live model has {baseline[name]:.4f}; at most {allowed:g} worse is allowed"
        )
    return reasons


def spot(where: str) -> str:
    """Where a metric was measured, in words."""
    return f" on slice {where}" if where else " on the test split"


def _worse(name: str, value: float, baseline: Mapping[str, float], recipe: Recipe) -> float:
    higher = next(metric.higher_is_better for metric in recipe.metrics if metric.name == name)
    return baseline[name] - value if higher else value - baseline[name]
