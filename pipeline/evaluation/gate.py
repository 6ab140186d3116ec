"""The conditions of the gate: requirements, measured numbers, and the reasons for the verdict in words.

The gate decides whether a model may go live; a model that meets all conditions is blessed. A number that cannot be
computed does not meet its condition.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.console import format_number
from pipeline.evaluation.measurements import NOT_AVAILABLE, Measurements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.evaluation.statistics import Comparison
    from pipeline.recipe import Recipe

SAME_ANSWERS = 1e-5


@dataclass(frozen=True)
class Condition:
    """One condition of the gate.

    Attributes:
        kind: "at_least", "at_most", "measured", "slice", "no_worse", "calibration", "latency_ms", "size_mb",
            "same_answers" or "tfma".
        name: The metric or cost, such as "accuracy".
        where: The slice, such as "label=7"; empty for everything else.
        asked: The requirement, in words.
        reached: The measured number; NaN if it could not be computed.
        margin: Distance to the bound, in the metric's units; negative if it is missed.
        passed: Whether the condition is met.
        words: The condition in one sentence.
    """

    kind: str
    name: str
    where: str
    asked: str
    reached: float
    margin: float
    passed: bool
    words: str

    def as_json(self) -> dict[str, Any]:
        """Returns the condition as JSON; NaN and infinity are null."""
        return {name: None if _is_not_finite(value) else value for name, value in asdict(self).items()}


def check_conditions(recipe: Recipe, measured: Measurements, *, quick: bool) -> list[Condition]:
    """Checks all conditions of a recipe's gate.

    Args:
        recipe: The recipe, for its gate.
        measured: The measurements.
        quick: Whether to use the bounds of a --quick run, which checks only metrics and costs: it replaces no model.
    """
    own_conditions = [
        *_check_bounds(recipe, measured, quick=quick),
        *([] if quick else _check_slices(recipe, measured)),
        *([] if quick else _check_no_worse(recipe, measured)),
        *_check_calibration(recipe, measured, quick=quick),
        *_check_costs(recipe, measured),
    ]
    return [*own_conditions, *_check_tfma(recipe, measured, own_conditions)]


def failed_reasons(checked: list[Condition]) -> list[str]:
    """Returns the reasons why a candidate is not blessed; empty if it is."""
    return list(dict.fromkeys(condition.words for condition in checked if not condition.passed))


def describe_place(where: str) -> str:
    """Returns in words where a metric was measured."""
    return f" on slice {where}" if where else " on the test split"


def _check_bounds(recipe: Recipe, measured: Measurements, *, quick: bool) -> Iterator[Condition]:
    """Checks bounds over the whole test split, and that every declared metric is a finite number."""
    gate = recipe.gate
    low, high = (gate.quick, {}) if quick else (gate.at_least, gate.at_most)
    for name, bound in low.items():
        yield _at_least("at_least", name, "", _metric_value(measured.metrics, name), bound)
    for name, bound in high.items():
        yield _at_most("at_most", f"{name} on the test split", name, _metric_value(measured.metrics, name), bound)
    for name in dict.fromkeys(metric.name for metric in recipe.metrics):
        if name not in low and name not in high:
            value = _metric_value(measured.metrics, name)
            words = f"{name} on the test split {_describe_value(value)}, a number is required"
            yield Condition("measured", name, "", "a number", value, NOT_AVAILABLE, math.isfinite(value), words)


def _check_slices(recipe: Recipe, measured: Measurements) -> Iterator[Condition]:
    """Checks every slice that is large enough; each feature needs one, and each declared class needs examples."""
    gate = recipe.gate
    for feature, bounds in gate.slices.items():
        parts = {part["slice"]: part for part in measured.slices if part["slice"].startswith(f"{feature}=")}
        expected = [f"{feature}={name}" for name in recipe.data.classes] if feature == recipe.data.label else []
        yield from (_empty_slice(where, "no example") for where in expected if where not in parts)
        large_parts = [part for part in parts.values() if part["examples"] >= gate.min_slice_examples]
        if not large_parts:
            least = max((part["examples"] for part in parts.values()), default=0)
            yield _empty_slice(feature, f"no value with {gate.min_slice_examples} examples, the most has {least}")
        for part in large_parts:
            for name, bound in bounds.items():
                yield _at_least("slice", name, part["slice"], _metric_value(part["metrics"], name), bound)


def _check_no_worse(recipe: Recipe, measured: Measurements) -> Iterator[Condition]:
    """Checks, if there is a champion (a live model), that the candidate is not worse."""
    if measured.baseline is None:
        return
    for name, allowed in recipe.gate.no_worse.items():
        value, live = _metric_value(measured.metrics, name), _metric_value(measured.baseline, name)
        higher = next((metric.higher_is_better for metric in recipe.metrics if metric.name == name), True)
        worse = live - value if higher else value - live
        test = measured.comparisons.get(name)
        # A difference equal to the tolerance passes, in spite of rounding.
        beyond = not worse <= allowed + 1e-9
        passed = not beyond or (test is not None and math.isfinite(worse) and test.p > recipe.gate.significance)
        known = "'s could not be computed" if math.isnan(live) else f" has {format_number(live)}"
        words = f"{name} on the test split {_describe_value(value)}, the live model{known}"
        words += f"; at most {allowed:g} worse is allowed"
        yield Condition(
            "no_worse",
            name,
            "",
            f"at most {allowed:g} worse than the live model",
            value,
            allowed - worse,
            passed,
            words + (_describe_test(test, recipe.gate.significance, beyond=beyond) if math.isfinite(worse) else ""),
        )


def _describe_test(test: Comparison | None, significance: float, *, beyond: bool) -> str:
    """Returns the result of the paired test in words."""
    if test is None:
        return "; it has no values by row, so the difference alone decides"
    sign = 1 if test.worse > 0 else -1
    low, high = map(format_number, sorted((sign * test.low, sign * test.high)))
    text = (
        f"; {'worse' if sign > 0 else 'better'} by {format_number(abs(test.worse))} (95 %: {low} to {high}), "
        f"p = {test.p:.2g} on {test.rows:,} examples, {test.test}"
    )
    chance = f": it may be chance, p is above {significance:g}" if test.p > significance else ": hardly chance"
    return text + chance if beyond else text


def _check_calibration(recipe: Recipe, measured: Measurements, *, quick: bool) -> Iterator[Condition]:
    bound = recipe.gate.calibration
    if bound is not None and not quick:
        yield _at_most("calibration", "the calibration error", "calibration", measured.calibration, bound)


def _check_costs(recipe: Recipe, measured: Measurements) -> Iterator[Condition]:
    """Checks latency and size if they have a bound, and always that the export gives the network's answers."""
    gate = recipe.gate
    if gate.latency_ms is not None:
        yield _at_most(
            "latency_ms", "the median latency of one row in ms", "latency_ms", measured.latency_ms, gate.latency_ms
        )
    if gate.size_mb is not None:
        yield _at_most("size_mb", "the size of the SavedModel in MB", "size_mb", measured.size_mb, gate.size_mb)
    what = "the difference between served and in-memory answers"
    yield _at_most("same_answers", what, "same answers", measured.difference, SAME_ANSWERS)


def _check_tfma(recipe: Recipe, measured: Measurements, own_conditions: list[Condition]) -> Iterator[Condition]:
    """Fails for thresholds that TFMA's own validation misses and no condition covers."""
    sizes = {part["slice"]: part["examples"] for part in measured.slices}
    missed = {(condition.name, condition.where) for condition in own_conditions if not condition.passed}
    for name, where in dict.fromkeys(measured.refused):
        # TFMA checks every slice; with a few examples the result would be chance.
        small = where and sizes.get(where, 0) < recipe.gate.min_slice_examples
        if (name, where) not in missed and not small:
            value = _metric_value(measured.metrics, name) if not where else NOT_AVAILABLE
            words = f"{name}{describe_place(where)} does not pass its threshold in TFMA's validation"
            yield Condition("tfma", name, where, "TFMA's threshold", value, NOT_AVAILABLE, passed=False, words=words)


def _at_least(kind: str, name: str, where: str, value: float, bound: float) -> Condition:
    words = f"{name}{describe_place(where)} {_describe_value(value)}, at least {bound:g} is required"
    return Condition(kind, name, where, f"at least {bound:g}", value, value - bound, value >= bound, words)


def _at_most(kind: str, what: str, name: str, value: float, bound: float) -> Condition:
    words = f"{what} {_describe_value(value)}, at most {bound:g} is required"
    return Condition(kind, name, "", f"at most {bound:g}", value, bound - value, value <= bound, words)


def _empty_slice(where: str, received: str) -> Condition:
    words = f"slice {where} cannot be evaluated: {received}"
    return Condition(
        "slice", "examples", where, "enough examples", NOT_AVAILABLE, NOT_AVAILABLE, passed=False, words=words
    )


def _metric_value(values: Mapping[str, float | None], name: str) -> float:
    value = values.get(name)
    return NOT_AVAILABLE if value is None else float(value)


def _describe_value(value: float) -> str:
    """Returns a number in words, or that it could not be computed."""
    return "could not be computed" if math.isnan(value) else f"is {format_number(value)}"


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
