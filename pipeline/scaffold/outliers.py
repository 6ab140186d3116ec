"""Numbers that a network cannot take as they are.

Values so far from all others that they would flatten a column are clipped at quantiles. Columns that float32 cannot
tell apart are no target, and left out of the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.scaffold.choices import round_significant
from pipeline.scaffold.render import safe_name
from pipeline.tables.precision import FINE_STEPS, find_coarse, float32_step, is_exact, near_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.scaffold.baseline import Sample
    from pipeline.scaffold.choices import Role

TAILS = (0.005, 0.02, 0.05)  # shares of the values on either side that may be far off
FAR = 20.0  # times the distance of the quantiles, from which on a value is far off
FAR_NINES = 2.0  # the same of -999 and its like, where it comes again and again
MIN_VALUES = 50
MOST_MARKS, KINDS = 0.5, 3  # share of the values that are marks for a missing one, and how many marks there may be
CHANGE_STEPS = 8  # rounding adds a twentieth of such a change
NEAR = 0.1  # share of the spread by which a rounded middle may be off


@dataclass(frozen=True)
class Limits:
    """Between which numbers the values of a column are taken.

    Attributes:
        low: The smallest.
        high: The largest.
        count: Values beyond.
        farthest: The value that is the farthest off.
        marks: The values that come again and again, and stand perhaps for a missing one; the farthest first.
    """

    low: float
    high: float
    count: int
    farthest: float
    marks: tuple[float, ...] = ()

    def tell(self, name: str) -> str:
        """Says how many values are far off."""
        are = "1 value is" if self.count == 1 else f"{self.count} values are"
        such = " and ".join(f"{value:g}" for value in self.marks or (self.farthest,))
        return f"{safe_name(name)}: {are} far from all others, such as {such}"

    def describe(self, name: str) -> str:
        """Says what is clipped."""
        words = f"{self.tell(name)}; clipped to {self.low:g} … {self.high:g}: change LIMITS at will."
        return f"{words} {self.advice}." if self.marks else words

    @property
    def advice(self) -> str:
        """What to do about the values."""
        if self.marks:
            return "If it stands for a missing value, empty the cells, or name it in missing= of DATA"
        return "Correct the data"


def find_limits(values: Sequence[float]) -> Limits | None:
    """Returns the quantiles at which a column is clipped; None where no value is far from all others.

    Numbers of many sizes, such as prices, are no outliers: a value must be twenty times as far off as the quantiles are
    from each other.
    """
    if len(values) < MIN_VALUES:
        return None
    ordered = sorted(values)
    return _find_marks(ordered) or _find_tails(ordered)


def _find_marks(ordered: Sequence[float]) -> Limits | None:
    """Returns the limits where a few values, such as -999, come again and again far from all others."""
    middle, others, marks, limits = ordered[len(ordered) // 2], list(ordered), list[float](), None
    while len(marks) < KINDS:
        mark, count = max(others[0], others[-1], key=lambda value: abs(value - middle)), len(others)
        others = [value for value in others if value != mark]
        marks.append(mark)
        if count - len(others) == 1 or len(others) <= (1 - MOST_MARKS) * len(ordered):
            return limits
        if _is_far(mark, others):
            low, high = (float(f"{end:.4g}") for end in (2 * others[0] - others[-1], 2 * others[-1] - others[0]))
            limits = Limits(low, high, len(ordered) - len(others), marks[0], tuple(marks))
    return limits


def _is_far(mark: float, others: Sequence[float]) -> bool:
    digits, spread = f"{abs(mark):.0f}", others[-1] - others[0]
    far = FAR_NINES if set(digits) == {"9"} and len(digits) > 1 else FAR
    return min(abs(others[0] - mark), abs(others[-1] - mark)) > far * spread > 0


def _find_tails(ordered: Sequence[float]) -> Limits | None:
    for tail in TAILS:
        place = max(round(tail * len(ordered)), 1)
        low, high = ordered[place], ordered[-1 - place]
        spread = high - low
        above, below = ordered[-1] > high + FAR * spread, ordered[0] < low - FAR * spread
        if spread > 0 and (above or below):
            # The side without outliers stays as it is, with room for new values.
            bottom, top = low if below else ordered[0] - spread, high if above else ordered[-1] + spread
            count = sum(value < bottom or value > top for value in ordered)
            farthest = max(ordered[0], ordered[-1], key=lambda value: abs(value - low))
            return Limits(float(f"{bottom:.4g}"), float(f"{top:.4g}"), count, farthest)
    return None


def require_fine(name: str, values: Sequence[float]) -> None:
    """Raises a PipelineError if a network could not answer with such numbers."""
    if coarse := find_coarse(values):
        raise coarse.error(safe_name(name), FINE_STEPS, "target", "; or name another column with --target")


def require_fine_changes(name: str, values: Sequence[float]) -> None:
    """Raises a PipelineError if float32 keeps little of what a series changes by, such as a meter that counts up."""
    require_fine(name, values)
    changes = [abs(later - earlier) for earlier, later in pairwise(values) if later != earlier]
    change, step = median(changes or [0.0]), float32_step(median(map(abs, values or [0.0])))
    if changes and change < CHANGE_STEPS * step and not all(map(is_exact, values)):
        raise PipelineError(
            f"The numbers of {safe_name(name)} change by too little for their size.",
            expected=f"changes of {CHANGE_STEPS} steps of float32 from row to row, in which a network answers",
            received=f"changes of {change:.4g}, and float32 has steps of {step:.4g} there",
            action="forecast a column of the changes from row to row",
        )


def find_lost(numbers: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Returns the columns of which float32 keeps little, each with the reason for leaving it out."""
    steps = {name: find_coarse(values) for name, values in numbers.items()}
    return {
        name: f"left out: {coarse.describe()}; {coarse.advise(safe_name(name))}"
        for name, coarse in steps.items()
        if coarse and coarse.is_lost and not coarse.exact
    }


def drop_lost(decided: Sequence[Role], sample: Sample) -> list[Role]:
    """Leaves out the numbers of which float32 keeps little; a key stays, which is no number of the network."""
    lost = find_lost(_sample_numbers(sample))
    scaled = {role.column.name for role in decided if role.use in ("number", "amount", "count")}
    reasons = {name: reason for name, reason in lost.items() if name in scaled}
    return [
        replace(role, use="", reason=reasons[name]) if (name := role.column.name) in reasons else role
        for role in decided
    ]


def round_middle(value: float, spread: float) -> float:
    """Three significant digits; more where these are far off for numbers that spread so little."""
    short = round_significant(value)
    return short if abs(short - value) <= NEAR * spread else near_number(value, NEAR * spread)


def _sample_numbers(sample: Sample) -> dict[str, list[float]]:
    import numpy as np

    numbers = {name: values for name, values in sample.columns.items() if sample.kinds[name] in ("float", "int")}
    return {name: values[np.isfinite(values)].astype(float).tolist() for name, values in numbers.items()}
