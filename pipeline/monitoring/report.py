"""What was found, for people and for machines.

A finding in words: what the number means, what it is compared with, and where the change is.

The report as one HTML file that needs nothing else.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import align_columns
from pipeline.monitoring import drift
from pipeline.reports import templating

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.monitoring.drift import Finding


NO_ALERT, ALERT, TOO_FEW = "quiet", "drift", "too few rows"
MEANING = {
    drift.JENSEN_SHANNON: "Jensen-Shannon divergence in bits: 0 is the same distribution, 1 none in common; "
    "0.02 is a shift by about a third of a deviation.",
    drift.L_INFINITY: "L-infinity: the largest change of one value's share of the rows.",
    drift.SHARE: "Share: the part of the rows that came on top.",
}
TEMPLATE = Path(__file__).parent / "page.html.jinja"
SHOWN = 24  # cells of a picture
ROW = 18  # pixels of a cell's line
LEFT, WIDTH, RIGHT = 190, 420, 130  # of the labels, the longest bar, and the numbers


@dataclass(frozen=True)
class Report:
    """A comparison of rows with training data.

    Attributes:
        name: The recipe.
        against: What was compared with, in words.
        what: What was compared: "requests" or "rows of the new data".
        rows: How many there were.
        findings: All comparisons.
        notes: What else is to be known, one line each.
        alerts: What needs no statistics to be wrong, one line each.
        version: The champion's version.
        since: Unix time of the first row, 0 where it has none.
        until: Unix time of the last row.
        made: Unix time of the report.
    """

    name: str
    against: str
    what: str
    rows: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    version: int = 0
    since: float = 0.0
    until: float = 0.0
    made: float = field(default_factory=time.time)

    @property
    def status(self) -> str:
        """Drift, quiet, or too few rows to tell."""
        if self.rows < drift.FEWEST:
            return TOO_FEW
        return ALERT if self.raised or self.alerts else NO_ALERT

    @property
    def raised(self) -> list[Finding]:
        """The findings that are alerts, the worst first."""
        return sorted((one for one in self.findings if one.alert), key=lambda one: -one.severity)

    @property
    def worst(self) -> list[Finding]:
        """The worst finding of each feature, the worst feature first."""
        found: dict[str, Finding] = {}
        for one in sorted(self.findings, key=lambda one: -one.severity):
            found.setdefault(one.feature, one)
        return list(found.values())

    @property
    def lines(self) -> list[str]:
        """What is wrong, one line for each finding that is an alert."""
        return [*self.alerts, *(f"{one.key}: {one.check}. {of(one)}" for one in self.raised)]

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        findings = [
            {**asdict(one), "limit": one.limit, "alert": one.alert, "explanation": of(one)} for one in self.findings
        ]
        found = {name: value for name, value in asdict(self).items() if name != "findings"}
        return {"status": self.status, **found, "findings": findings}


def table(report: Report) -> list[str]:
    """The report for a terminal: a line per feature, then what is wrong in words."""
    lines = [headline(report)]
    if report.worst:
        rows = [["feature", "check", "distance", "value", "limit", ""], *map(_row, report.worst)]
        lines += align_columns(rows)
    if report.status == ALERT:
        lines += ["", *(f"- {line}" for line in report.lines), *legend(report.raised)]
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def headline(report: Report) -> str:
    """One line: what was compared with what, and the outcome."""
    outcome = {
        NO_ALERT: "no drift",
        TOO_FEW: f"too few to tell, at least {drift.FEWEST} are needed",
        ALERT: f"drift in {', '.join(features(report)) or 'what is sent'}",
    }[report.status]
    period = f" from {_moment(report.since)} to {_moment(report.until)}" if report.until else ""
    return f"{report.name}: {report.rows:,} {report.what}{period} beside {report.against}: {outcome}"


def features(report: Report) -> list[str]:
    """The features that have alerts."""
    return list(dict.fromkeys(one.feature for one in report.raised))


def _row(one: Finding) -> list[str]:
    axis = one.key.removeprefix(one.feature).lstrip(".")
    name = f"{one.feature} ({axis})" if axis else one.feature
    return [name, one.check, one.distance, f"{one.value:.3f}", f"{one.limit:.3f}", "ALERT" * one.alert]


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def of(finding: Finding) -> str:
    """The number beside its limit, and the largest change."""
    return f"{number(finding)} {change(finding)}"


def number(finding: Finding) -> str:
    """The number and its limit, and what the limit is made of."""
    side = "above" if finding.value > finding.limit else "within"
    return (
        f"{finding.distance} {finding.value:.3f} is {side} the limit {finding.limit:.3f}: "
        f"{finding.chance:.3f} by chance ({finding.rows:,} rows beside {finding.training:,}, "
        f"in one of {1 / drift.FALSE_ALARM:,.0f} reports) and {finding.allowed:g} that may change without harm."
    )


def legend(findings: Iterable[Finding]) -> list[str]:
    """What the distances mean that findings have."""
    there = {finding.distance for finding in findings}
    return [words for name, words in MEANING.items() if name in there]


def change(finding: Finding) -> str:
    """Where the change is."""
    if finding.check != drift.DRIFT:
        return f"{finding.key}: {finding.value:.1%} more rows are {_skew(finding)} than before."
    label, before, now = max(finding.cells, key=lambda cell: abs(cell[2] - cell[1]))
    return f"Most changed: {finding.key} {label}, {now:.1%} of the rows, {before:.1%} before."


def _skew(finding: Finding) -> str:
    words = {
        drift.MISSING: "without a value",
        drift.UNSEEN: "of values that are rare or unknown",
        drift.RANGE: "outside the range",
    }
    return words[finding.check]


def html(report: Report) -> str:
    """The page."""
    ordered = sorted(report.findings, key=lambda one: -one.severity)
    drawn = [one for one in ordered if one.check == drift.DRIFT and (one.alert or one in report.worst)]
    facts = {
        "report": report,
        "findings": ordered,
        "drawn": drawn,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(report.made)),
        "picture": picture,
        "explained": of,
        "headline": headline,
        "legend": legend,
    }
    return templating.render_template(TEMPLATE, facts)


def picture(finding: Finding) -> dict[str, object]:
    """Both distributions as bars, cell by cell: what the template draws as SVG."""
    cells = [cell for cell in finding.cells if cell[1] or cell[2]]
    if len(cells) > SHOWN:  # the ones that changed most, in their order
        changed = sorted(cells, key=lambda cell: -abs(cell[2] - cell[1]))[:SHOWN]
        cells = [cell for cell in cells if cell in changed]
    longest = max((max(cell[1:]) for cell in cells), default=1.0)
    bars = [
        {"label": label[:28], "y": place * ROW, "before": before, "now": now}
        | {"before_width": WIDTH * before / longest, "now_width": WIDTH * now / longest}
        for place, (label, before, now) in enumerate(cells)
    ]
    return {"bars": bars, "height": len(bars) * ROW, "left": LEFT, "right": LEFT + WIDTH, "width": LEFT + WIDTH + RIGHT}
