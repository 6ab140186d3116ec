"""Numbers that float32, in which a network computes, cannot tell apart: far from zero, and near to each other."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from statistics import median, pstdev
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Steps of float32 between the quartiles. Rounding adds 0.29 steps of deviation: a thousandth of the spread, or a
# hundredth. A gate may ask for a hundredth of the error of guessing, which is five steps in the first case.
FINE_STEPS, LEAST_STEPS = 2**8, 2**5
DIGITS, SMALLEST = 24, 2.0**-149  # of float32


@dataclass(frozen=True)
class Coarse:
    """How coarse float32 is for a column of numbers.

    Attributes:
        step: From one number to the next.
        spread: Between the quartiles of the values.
        offset: A plain number near all of them.
        exact: Whether all values are numbers of float32 nevertheless.
    """

    step: float
    spread: float
    offset: float
    exact: bool

    @property
    def is_lost(self) -> bool:
        """Whether little of what tells the values apart is left."""
        return self.spread < LEAST_STEPS * self.step

    def error(self, name: str, steps: int, what: str, action: str = "") -> PipelineError:
        """Returns the error for a target of which float32 keeps too little.

        Args:
            name: Of the column.
            steps: Of float32 that it must spread over.
            what: Word for it in the message: target or label.
            action: What may be done instead.
        """
        return PipelineError(
            f"The numbers of {name} are too near to each other for their size.",
            expected=f"a {what} that spreads over {steps} steps of float32, in which a network answers",
            received=self.describe(),
            action=self.advise(name) + action,
        )

    def describe(self) -> str:
        """Says what float32 makes of the values."""
        return f"half of the values are within {self.spread:.4g}, and float32 has steps of {self.step:.4g} there"

    def advise(self, name: str) -> str:
        """Says what is to be done."""
        sign = "-" if self.offset > 0 else "+"
        return f"subtract a constant in the data: {name} {sign} {abs(self.offset):.15g}"


def find_coarse(values: Sequence[float]) -> Coarse | None:
    """Returns how coarse float32 is for numbers; None where it is fine enough, or where all are the same.

    Quartiles and the median are taken, so that a few values far from all others change nothing.
    """
    ordered = sorted(values)
    if not ordered or ordered[0] == ordered[-1]:
        return None
    spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4] or pstdev(ordered)
    step = float32_step(median(map(abs, ordered)))
    if spread >= FINE_STEPS * step or spread == 0:
        return None
    return Coarse(step, spread, near_number(median(ordered), spread), all(map(is_exact, ordered)))


def float32_step(value: float) -> float:
    """Returns the distance from a number to the next one of float32."""
    return max(math.ldexp(1.0, math.frexp(value)[1] - DIGITS), SMALLEST)


def near_number(value: float, spread: float) -> float:
    """Rounds a number so that what is left is about the spread."""
    return float(f"{value:.{max(math.floor(math.log10(abs(value) / spread)), 0)}e}") if value and spread else value


def is_exact(value: float) -> bool:
    """Returns whether a number is one of float32."""
    return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
