"""Values so far from all others that they would flatten a column: they are clipped at quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.scaffold.render import safe_name

if TYPE_CHECKING:
    from collections.abc import Sequence

TAILS = (0.005, 0.02, 0.05)  # shares of the values on either side that may be far off
FAR = 20.0  # times the distance of the quantiles, from which on a value is far off
MIN_VALUES = 50
MOST_MARKS = 0.5  # share of the values that are a mark for a missing one


@dataclass(frozen=True)
class Limits:
    """Between which numbers the values of a column are taken.

    Attributes:
        low: The smallest.
        high: The largest.
        count: Values beyond.
        farthest: The value that is the farthest off.
        is_mark: Whether all of them are this value, as a mark for a missing one.
    """

    low: float
    high: float
    count: int
    farthest: float
    is_mark: bool = False

    def tell(self, name: str) -> str:
        """Says how many values are far off."""
        are = "1 value is" if self.count == 1 else f"{self.count} values are"
        return f"{safe_name(name)}: {are} far from all others, such as {self.farthest:g}"

    def describe(self, name: str) -> str:
        """Says what is clipped."""
        words = f"{self.tell(name)}; clipped to {self.low:g} … {self.high:g}: change LIMITS at will."
        missing = " If it stands for a missing value, empty the cells, or name it in missing= of DATA."
        return words + missing * self.is_mark


def find_limits(values: Sequence[float]) -> Limits | None:
    """Returns the quantiles at which a column is clipped; None where no value is far from all others.

    Numbers of many sizes, such as prices, are no outliers: a value must be twenty times as far off as the quantiles are
    from each other.
    """
    if len(values) < MIN_VALUES:
        return None
    ordered = sorted(values)
    return _find_mark(ordered) or _find_tails(ordered)


def _find_mark(ordered: Sequence[float]) -> Limits | None:
    """Returns the limits where one value, such as -999, comes again and again far from all others."""
    for mark in (ordered[0], ordered[-1]):
        others = [value for value in ordered if value != mark]
        count, spread = len(ordered) - len(others), others[-1] - others[0] if others else 0.0
        near = min(abs(others[0] - mark), abs(others[-1] - mark)) if others else 0.0
        if 1 < count < MOST_MARKS * len(ordered) and near > FAR * spread > 0:
            low, high = float(f"{others[0] - spread:.4g}"), float(f"{others[-1] + spread:.4g}")
            return Limits(low, high, count, mark, is_mark=True)
    return None


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
