"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import template
from pipeline.monitoring import comparison, explanation
from pipeline.monitoring import report as reports

if TYPE_CHECKING:
    from pipeline.monitoring.comparison import Finding
    from pipeline.monitoring.report import Report

TEMPLATE = Path(__file__).parent / "page.html.jinja"
SHOWN = 24  # cells of a picture
ROW = 18  # pixels of a cell's line
LEFT, WIDTH, RIGHT = 190, 420, 130  # of the labels, the longest bar, and the numbers


def html(report: Report) -> str:
    """The page."""
    ordered = sorted(report.findings, key=lambda one: -one.severity)
    drawn = [one for one in ordered if one.check == comparison.DRIFT and (one.alert or one in report.worst)]
    facts = {
        "report": report,
        "findings": ordered,
        "drawn": drawn,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(report.made)),
        "picture": picture,
        "explained": explanation.of,
        "headline": reports.headline,
        "legend": explanation.legend,
    }
    return template.rendered(TEMPLATE, facts)


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
