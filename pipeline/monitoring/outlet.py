"""Where reports go: terminal, files, Prometheus and MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import atomic
from pipeline.errors import PipelineError
from pipeline.monitoring import archive, page, prometheus, record
from pipeline.monitoring import report as reports
from pipeline.workspace import unwritable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.monitoring.look import Look
    from pipeline.monitoring.report import Report
    from pipeline.workspace import Workspace

RECORDING_TIMEOUT_S = 60.0


@dataclass
class Outlet:
    """Tells reports, each as it comes.

    Attributes:
        workspace: The workspace, which keeps them.
        uri: MLflow.
        as_json: Whether the terminal gets JSON.
        html: A further place for the page.
        metrics: The file for Prometheus.
        scraped: The page for Prometheus.
        recorder: The process that tells MLflow.
    """

    workspace: Workspace
    uri: str
    as_json: bool = False
    html: Path | None = None
    metrics: Path | None = None
    scraped: prometheus.Page | None = None
    recorder: subprocess.Popen[bytes] | None = None

    def show(self, report: Report, *, briefly: bool = False) -> None:
        """Writes to the terminal: everything, or one line."""
        if self.as_json:
            print(json.dumps(report.as_json()), flush=True)
        else:
            print("\n".join([reports.headline(report)] if briefly else reports.table(report)), flush=True)

    def tell(self, looks: Sequence[Look], before: Mapping[str, object], *, together: bool = False) -> None:
        """Writes looks to the terminal; in full those that give another outcome than the time before.

        Args:
            looks: One for each recipe.
            before: The outcomes of the time before, by recipe.
            together: Whether JSON is one object of all recipes; else it is one for each report.
        """
        if self.as_json and together:
            print(json.dumps({"recipes": [one.as_json() for one in looks]}), flush=True)
            return
        for one in looks:
            briefly = before.get(one.name) == one.outcome
            if one.report:
                self.show(one.report, briefly=briefly)
            elif not briefly:
                print(one.headline, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def write(self, report: Report) -> None:
        """Replaces the page.

        Raises:
            PipelineError: Its place cannot be written.
        """
        if self.html:
            _replace(self.html, page.html(report))

    def measure(self, looks: Sequence[Look]) -> None:
        """Replaces what Prometheus sees.

        Raises:
            PipelineError: The file cannot be written.
        """
        if self.metrics:
            _replace(self.metrics, prometheus.text(looks))
        if self.scraped:
            self.scraped.show(looks)

    def keep(self, report: Report) -> Path:
        """Keeps the report in the workspace and has MLflow told; returns where its page lies."""
        try:
            folder = archive.keep(self.workspace, report)
        except OSError as error:
            raise unwritable(self.workspace, error) from error
        if self.recorder is None or self.recorder.poll() is not None:
            self.recorder = record.start(self.workspace, self.uri)
        return folder / archive.HTML

    def close(self) -> None:
        """Waits for MLflow, within reason; a report that it did not get is told again by the next one."""
        if self.scraped:
            self.scraped.close()
        code = None
        if self.recorder:
            with suppress(subprocess.TimeoutExpired):
                code = self.recorder.wait(RECORDING_TIMEOUT_S)
            if code != 0:
                log = self.workspace.monitoring_log
                print(f"Not in MLflow yet: {self.uri} does not answer, see {log}", file=sys.stderr)


def _replace(path: Path, text: str) -> None:
    try:
        with atomic.file(path.absolute()) as beside:
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be written.",
            expected="a file in a folder that this user may write, with free space",
            received=error.strerror or str(error),
            action="mend that, or name another file",
        ) from error
