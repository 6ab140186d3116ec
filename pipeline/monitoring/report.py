"""What was found, for people and for machines."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.aligned import aligned
from pipeline.monitoring import comparison, explanation

if TYPE_CHECKING:
    from pipeline.monitoring.comparison import Finding

NO_ALERT, ALERT, TOO_FEW = "quiet", "drift", "too few rows"


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
        if self.rows < comparison.FEWEST:
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
        return [*self.alerts, *(f"{one.key}: {one.check}. {explanation.of(one)}" for one in self.raised)]

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        findings = [
            {**asdict(one), "limit": one.limit, "alert": one.alert, "explanation": explanation.of(one)}
            for one in self.findings
        ]
        found = {name: value for name, value in asdict(self).items() if name != "findings"}
        return {"status": self.status, **found, "findings": findings}


def table(report: Report) -> list[str]:
    """The report for a terminal: a line per feature, then what is wrong in words."""
    lines = [headline(report)]
    if report.worst:
        rows = [["feature", "check", "distance", "value", "limit", ""], *map(_row, report.worst)]
        lines += aligned(rows)
    if report.status == ALERT:
        lines += ["", *(f"- {line}" for line in report.lines), *explanation.legend(report.raised)]
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def headline(report: Report) -> str:
    """One line: what was compared with what, and the outcome."""
    outcome = {
        NO_ALERT: "no drift",
        TOO_FEW: f"too few to tell, at least {comparison.FEWEST} are needed",
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
