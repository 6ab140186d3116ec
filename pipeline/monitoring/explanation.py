"""A finding in words: what the number means, what it is compared with, and where the change is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.monitoring import comparison

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.monitoring.comparison import Finding

MEANING = {
    comparison.JENSEN_SHANNON: "Jensen-Shannon divergence in bits: 0 is the same distribution, 1 none in common; "
    "0.02 is a shift by about a third of a deviation.",
    comparison.L_INFINITY: "L-infinity: the largest change of one value's share of the rows.",
    comparison.SHARE: "Share: the part of the rows that came on top.",
}


def of(finding: Finding) -> str:
    """The number beside its limit, and the largest change."""
    return f"{number(finding)} {change(finding)}"


def number(finding: Finding) -> str:
    """The number and its limit, and what the limit is made of."""
    side = "above" if finding.value > finding.limit else "within"
    return (
        f"{finding.distance} {finding.value:.3f} is {side} the limit {finding.limit:.3f}: "
        f"{finding.chance:.3f} by chance ({finding.rows:,} rows beside {finding.training:,}, "
        f"in one of {1 / comparison.FALSE_ALARM:,.0f} reports) and {finding.allowed:g} that may change without harm."
    )


def legend(findings: Iterable[Finding]) -> list[str]:
    """What the distances mean that findings have."""
    there = {finding.distance for finding in findings}
    return [words for name, words in MEANING.items() if name in there]


def change(finding: Finding) -> str:
    """Where the change is."""
    if finding.check != comparison.DRIFT:
        return f"{finding.key}: {finding.value:.1%} more rows are {_skew(finding)} than before."
    label, before, now = max(finding.cells, key=lambda cell: abs(cell[2] - cell[1]))
    return f"Most changed: {finding.key} {label}, {now:.1%} of the rows, {before:.1%} before."


def _skew(finding: Finding) -> str:
    words = {
        comparison.MISSING: "without a value",
        comparison.UNSEEN: "of values that are rare or unknown",
        comparison.RANGE: "outside the range",
    }
    return words[finding.check]
