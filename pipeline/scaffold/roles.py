"""What a network makes of each column of a table."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from pipeline.datasets.columns import ID_NAME
from pipeline.scaffold.prose import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.datasets.columns import Column
    from pipeline.scaffold.profile import Profile

MOSTLY_MISSING = 0.95
REPEATED = 20  # times that a whole number appears on average to be read as a category, too
NAMES_SHARE = 0.5  # of the rows differ
NAMES_ROWS = 100
SKEWED = 2.0  # times the median that the mean of an amount is


@dataclass(frozen=True)
class Role:
    """One decision.

    Attributes:
        column: The column.
        use: "number", "amount", "count", "key", "category", "date", "text" or "vector"; empty where it is left out.
        reason: Why.
    """

    column: Column
    use: str
    reason: str

    @property
    def kind(self) -> str:
        """As the recipe declares it: numbers are "float", which may be missing."""
        uses = {"number": "float", "amount": "float", "count": "float", "key": "int", "vector": self.column.kind}
        return uses.get(self.use, "bytes")


def of(columns: Sequence[Column], target: Column, found: Profile) -> list[Role]:
    """The role of every column but the target."""
    roles = []
    first: dict[str, str] = {found.codes[target.name]: target.name} if target.name in found.codes else {}
    for column in columns:
        if column.name != target.name:
            twin = (
                first.setdefault(found.codes[column.name], column.name) if column.name in found.codes else column.name
            )
            roles.append(_role(column, target, "" if twin == column.name else twin, found.numbers))
    return roles


def _role(column: Column, target: Column, twin: str, numbers: Mapping[str, list[float]]) -> Role:
    reason = _useless(column, target, twin)
    if reason:
        return Role(column, "", reason)
    if column.date:
        return Role(column, "date", "days, month, weekday and hour")
    if column.kind.startswith("float["):
        return Role(column, "vector", "numbers side by side, scaled")
    if column.kind == "bytes":
        return Role(column, "text", "words") if column.free_text else Role(column, "category", "embedding")
    return _number(column, numbers.get(column.name, []))


def _useless(column: Column, target: Column, twin: str) -> str:
    """Why nothing can be learnt from a column; empty if something can."""
    crowded = column.distinct > max(NAMES_SHARE * (column.rows - column.missing), NAMES_ROWS)
    reasons = {
        "nested values": not column.kind,
        "the same in every row": column.constant,
        f"missing in {column.missing / column.rows:.0%} of the rows": column.missing > MOSTLY_MISSING * column.rows,
        "figures that are not read; write 1234.5 and 2024-01-31": column.figures and (column.id_like or crowded),
        "numbers or names the rows": column.id_like,
        f"a copy of {plain(twin)} in other words": twin == target.name,
        # Two numbers that go together may still say how near two places are: latitude and longitude of a stop.
        f"says the same as {plain(twin)}": twin and column.kind == "bytes",
        "another name in most of the rows": column.kind == "bytes"
        and crowded
        and not (column.date or column.free_text),
    }
    return next((f"left out: {reason}" for reason, holds in reasons.items() if holds), "")


def _number(column: Column, values: list[float]) -> Role:
    whole = all(value.is_integer() for value in values)
    if whole and ID_NAME.search(column.name) and not column.missing:
        return Role(column, "key", "embedding: whole numbers that name something")
    if whole and 2 < column.distinct <= column.rows / REPEATED:  # noqa: PLR2004
        return Role(column, "count", "scaled, and embedding of the exact value" + _logarithm(values))
    return (
        Role(column, "amount", "scaled" + _logarithm(values)) if is_amount(values) else Role(column, "number", "scaled")
    )


def is_amount(values: list[float]) -> bool:
    """Whether most of the numbers are small and few are large, none negative."""
    return bool(values) and min(values) >= 0 and fmean(values) > SKEWED * median(values)


def _logarithm(values: list[float]) -> str:
    return ", logarithm" if is_amount(values) else ""
