"""The report of a comparison: for a terminal, as JSON and as one HTML file, with an explanation of each number."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import align_columns, format_number
from pipeline.monitoring import drift
from pipeline.reports import templating

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.monitoring.drift import Finding


NO_ALERT, ALERT, TOO_FEW = "quiet", "drift", "too few rows"
DISTANCE_MEANING = {
    drift.JENSEN_SHANNON: "Jensen-Shannon divergence in bits: 0 is the same distribution, 1 none in common; "
    "0.02 is a shift by about a third of a deviation.",
    drift.L_INFINITY: "L-infinity: the largest change of one value's share of the rows.",
    drift.SHARE: "Share: the part of the rows that came on top.",
}
TEMPLATE = Path(__file__).parent / "page.html.jinja"
MAX_CELLS = 24  # cells in a picture
ROW_HEIGHT = 18  # pixels of a line
LABEL_WIDTH, BAR_WIDTH, NUMBER_WIDTH = 190, 420, 130  # pixels of the labels, the longest bar, and the numbers


@dataclass(frozen=True)
class Report:
    """Result of comparing rows with training data.

    Attributes:
        name: The recipe.
        against: Description of the training data.
        what: What was compared: "requests" or "rows of the new data".
        rows: Number of rows.
        findings: All comparisons.
        notes: Further remarks, one line each.
        alerts: Faults that need no statistics, such as a missing feature, one line each.
        version: The champion's version.
        since: Unix time of the first row; 0 if rows have no time.
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
        if self.rows < drift.MIN_ROWS:
            return TOO_FEW
        return ALERT if self.alert_findings or self.alerts else NO_ALERT

    @property
    def alert_findings(self) -> list[Finding]:
        """The findings that are alerts, the worst first."""
        return sorted((finding for finding in self.findings if finding.alert), key=lambda finding: -finding.severity)

    @property
    def worst(self) -> list[Finding]:
        """The worst finding of each feature, the worst feature first."""
        by_feature: dict[str, Finding] = {}
        for finding in sorted(self.findings, key=lambda finding: -finding.severity):
            by_feature.setdefault(finding.feature, finding)
        return list(by_feature.values())

    @property
    def lines(self) -> list[str]:
        """Lines about all alerts, one for each."""
        return [
            *self.alerts,
            *(f"{finding.key}: {finding.check}. {explain(finding)}" for finding in self.alert_findings),
        ]

    def as_json(self) -> dict[str, Any]:
        """Returns the object of `--json`."""
        findings = [
            {**asdict(finding), "limit": finding.limit, "alert": finding.alert, "explanation": explain(finding)}
            for finding in self.findings
        ]
        facts = {name: value for name, value in asdict(self).items() if name != "findings"}
        return {"status": self.status, **facts, "findings": findings}


def render_table(report: Report) -> list[str]:
    """Returns the report for a terminal: a line per feature, then the alerts with explanations."""
    lines = [headline(report)]
    if report.worst:
        rows = [["feature", "check", "distance", "value", "limit", ""], *map(_table_row, report.worst)]
        lines += align_columns(rows)
    if report.status == ALERT:
        lines += ["", *(f"- {line}" for line in report.lines), *explain_distances(report.alert_findings)]
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def headline(report: Report) -> str:
    """Returns a summary in one line: what was compared with what, and the outcome."""
    outcome = {
        NO_ALERT: "no drift",
        TOO_FEW: f"too few to tell, at least {drift.MIN_ROWS} are needed",
        ALERT: f"drift in {', '.join(alert_features(report)) or 'what is sent'}",
    }[report.status]
    period = f" from {_format_time(report.since)} to {_format_time(report.until)}" if report.until else ""
    return f"{report.name}: {report.rows:,} {report.what}{period} against {report.against}: {outcome}"


def alert_features(report: Report) -> list[str]:
    """Returns the features that have alerts."""
    return list(dict.fromkeys(finding.feature for finding in report.alert_findings))


def _table_row(finding: Finding) -> list[str]:
    axis = finding.key.removeprefix(finding.feature).lstrip(".")
    name = f"{finding.feature} ({axis})" if axis else finding.feature
    return [
        name,
        finding.check,
        finding.distance,
        format_number(finding.value),
        format_number(finding.limit),
        "ALERT" * finding.alert,
    ]


def _format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def explain(finding: Finding) -> str:
    """Explains a distance, its limit, and the largest change."""
    return f"{explain_limit(finding)} {explain_change(finding)}"


def explain_limit(finding: Finding) -> str:
    """Explains a distance and the parts of its limit."""
    side = "above" if finding.value > finding.limit else "within"
    return (
        f"{finding.distance} {format_number(finding.value)} is {side} the limit {format_number(finding.limit)}: "
        f"{format_number(finding.chance)} by chance ({finding.rows:,} rows against {finding.training:,}, "
        f"in one of {1 / drift.FALSE_ALARM_RATE:,.0f} reports) and {finding.allowed:g} that may change without harm."
    )


def explain_distances(findings: Iterable[Finding]) -> list[str]:
    """Explains the kinds of distances that the findings have."""
    there = {finding.distance for finding in findings}
    return [words for name, words in DISTANCE_MEANING.items() if name in there]


def explain_change(finding: Finding) -> str:
    """Names the cell that has changed most."""
    if finding.check != drift.DRIFT:
        return f"{finding.key}: {finding.value:.1%} more rows are {_skew_words(finding)} than before."
    label, before, now = max(finding.cells, key=lambda cell: abs(cell[2] - cell[1]))
    return f"Most changed: {finding.key} {label}, {now:.1%} of the rows, {before:.1%} before."


def _skew_words(finding: Finding) -> str:
    words = {
        drift.MISSING: "without a value",
        drift.UNSEEN: "of values that are rare or unknown",
        drift.RANGE: "outside the range",
    }
    return words[finding.check]


def render_html(report: Report) -> str:
    """Returns the HTML page."""
    ordered = sorted(report.findings, key=lambda finding: -finding.severity)
    drawn = [
        finding for finding in ordered if finding.check == drift.DRIFT and (finding.alert or finding in report.worst)
    ]
    facts = {
        "report": report,
        "findings": ordered,
        "drawn": drawn,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(report.made)),
        "picture": draw_bars,
        "explained": explain,
        "headline": headline,
        "legend": explain_distances,
    }
    return templating.render_template(TEMPLATE, facts, {"number": format_number})


def draw_bars(finding: Finding) -> dict[str, object]:
    """Returns both distributions as bars, cell by cell, for the template to draw as SVG."""
    cells = [cell for cell in finding.cells if cell[1] or cell[2]]
    if len(cells) > MAX_CELLS:  # the ones that changed most, in their order
        changed = sorted(cells, key=lambda cell: -abs(cell[2] - cell[1]))[:MAX_CELLS]
        cells = [cell for cell in cells if cell in changed]
    longest = max((max(cell[1:]) for cell in cells), default=1.0)
    bars = [
        {"label": label[:28], "y": place * ROW_HEIGHT, "before": before, "now": now}
        | {"before_width": BAR_WIDTH * before / longest, "now_width": BAR_WIDTH * now / longest}
        for place, (label, before, now) in enumerate(cells)
    ]
    return {
        "bars": bars,
        "height": len(bars) * ROW_HEIGHT,
        "left": LABEL_WIDTH,
        "right": LABEL_WIDTH + BAR_WIDTH,
        "width": LABEL_WIDTH + BAR_WIDTH + NUMBER_WIDTH,
    }
