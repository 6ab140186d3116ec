"""The reports of a workspace: kept for MLflow until it has them, and a while for people."""

from __future__ import annotations

import shutil
import time
import uuid
from typing import TYPE_CHECKING

from pipeline import atomic
from pipeline.monitoring import page

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.monitoring.report import Report
    from pipeline.workspace import Workspace

STEM = "report"
JSON, HTML, RECORDED = f"{STEM}.json", f"{STEM}.html", "recorded"
KEPT = 100  # reports of a recipe


def keep(workspace: Workspace, report: Report) -> Path:
    """Writes a report as JSON and HTML into a new folder, which is returned; the oldest recorded ones go."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(report.made))
    place = workspace.monitoring / report.name / f"{stamp}-{uuid.uuid4().hex[:4]}"
    with atomic.folder(place) as beside:
        write(beside, STEM, report)
    _trim(place.parent)
    return place


def write(folder: Path, stem: str, report: Report) -> list[Path]:
    """Writes a report as STEM.json and STEM.html into a folder; returns both paths."""
    paths = [folder / f"{stem}.json", folder / f"{stem}.html"]
    atomic.write_json(paths[0], report.as_json())
    with atomic.file(paths[1]) as beside:
        beside.write_text(page.html(report), encoding="utf-8")
    return paths


def pending(workspace: Workspace) -> list[Path]:
    """Folders of the reports that MLflow has not seen, oldest first."""
    found = [path.parent for path in workspace.monitoring.glob(f"*/*/{JSON}") if not path.with_name(RECORDED).exists()]
    return sorted(found, key=lambda folder: folder.name)


def _trim(folder: Path) -> None:
    recorded = sorted(path.parent for path in folder.glob(f"*/{RECORDED}"))
    for old in recorded[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
