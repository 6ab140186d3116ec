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


@dataclass(frozen=True)
class Limits:
    """Between which numbers the values of a column are taken.

    Attributes:
        low: The smallest.
        high: The largest.
        count: Values beyond.
        farthest: The value that is the farthest off.
    """

    low: float
    high: float
    count: int
    farthest: float

    def tell(self, name: str) -> str:
        """Says how many values are far off."""
        are = "1 value is" if self.count == 1 else f"{self.count} values are"
        return f"{safe_name(name)}: {are} far from all others, such as {self.farthest:g}"

    def describe(self, name: str) -> str:
        """Says what is clipped."""
        return f"{self.tell(name)}; clipped to {self.low:g} … {self.high:g}: change LIMITS at will."


def find_limits(values: Sequence[float]) -> Limits | None:
    """Returns the quantiles at which a column is clipped; None where no value is far from all others.

    Numbers of many sizes, such as prices, are no outliers: a value must be twenty times as far off as the quantiles are
    from each other.
    """
    if len(values) < MIN_VALUES:
        return None
    ordered = sorted(values)
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
