"""A step of whole months, which differ in their days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


@dataclass(frozen=True)
class Months:
    """From a day of a month to a day so many months later: a quarter is `Months(3)`, a year `Months(12)`."""

    count: int = 1

    def __str__(self) -> str:
        return "1 month" if self.count == 1 else f"{self.count} months"


def between(earlier: datetime, later: datetime) -> int:
    """Months from one month to the other, whatever the days."""
    return 12 * (later.year - earlier.year) + later.month - earlier.month


def follows(earlier: datetime, later: datetime, step: timedelta | Months) -> bool:
    """Whether one time is a step after the other."""
    return between(earlier, later) == step.count if isinstance(step, Months) else later - earlier == step
