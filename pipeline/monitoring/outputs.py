"""Writes reports to the terminal, HTML, Prometheus, the workspace and MLflow.

The workspace stores reports until they are recorded in MLflow, and the newest ones longer. In MLflow each becomes a run
of kind `monitor` in the recipe's experiment, written by a separate process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.monitoring import prometheus
from pipeline.monitoring import report as monitoring_report
from pipeline.store import fileio
from pipeline.store.layout import unwritable_error
from pipeline.tracking import process
from pipeline.tracking.client import METRICS_PER_CALL, metric_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.monitoring.monitor import ModelHealth
    from pipeline.monitoring.report import Report
    from pipeline.store.layout import Workspace
    from pipeline.tracking.client import TrackingStore


RECORDING_TIMEOUT_S = 60.0
REPORT_STEM = "report"
MAX_REPORTS = 100  # reports of a recipe that the workspace keeps
REPORT_TAG = "keraspipe.monitor_id"
KIND_TAG = "keraspipe.kind"


@dataclass
class Sinks:
    """The outputs of a monitoring command.

    Attributes:
        workspace: The workspace, which stores the reports.
        uri: MLflow server or database.
        as_json: Whether the terminal gets JSON.
        html: An additional file for the HTML page; None for none.
        metrics: The text file for Prometheus; None for none.
        metrics_page: The page that Prometheus scrapes; None for none.
        recorder: The process that records in MLflow.
    """

    workspace: Workspace
    uri: str
    as_json: bool = False
    html: Path | None = None
    metrics: Path | None = None
    metrics_page: prometheus.MetricsPage | None = None
    recorder: subprocess.Popen[bytes] | None = None

    def show(self, report: Report, *, briefly: bool = False) -> None:
        """Writes a report to the terminal, in full or as one line."""
        if self.as_json:
            print(json.dumps(report.as_json()), flush=True)
        else:
            print(
                "\n".join([monitoring_report.headline(report)] if briefly else monitoring_report.render_table(report)),
                flush=True,
            )

    def print_statuses(
        self, statuses: Sequence[ModelHealth], before: Mapping[str, object], *, together: bool = False
    ) -> None:
        """Writes states to the terminal, in full where the outcome has changed.

        Args:
            statuses: One for each recipe.
            before: The previous outcomes, by recipe.
            together: Whether JSON is one object for all recipes; else it is one for each report.
        """
        if self.as_json and together:
            print(json.dumps({"recipes": [status.as_json() for status in statuses]}), flush=True)
            return
        for status in statuses:
            briefly = before.get(status.name) == status.outcome
            if status.report:
                self.show(status.report, briefly=briefly)
            elif not briefly:
                print(status.headline, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def write_html(self, report: Report) -> None:
        """Replaces the HTML page.

        Raises:
            PipelineError: The file cannot be written.
        """
        if self.html:
            _replace_file(self.html, monitoring_report.render_html(report))

    def write_metrics(self, statuses: Sequence[ModelHealth]) -> None:
        """Replaces the metrics for Prometheus.

        Raises:
            PipelineError: The file cannot be written.
        """
        if self.metrics:
            _replace_file(self.metrics, prometheus.render_text(statuses))
        if self.metrics_page:
            self.metrics_page.show(statuses)

    def save(self, report: Report) -> Path:
        """Stores the report in the workspace and starts to record it in MLflow; returns the path of its page."""
        try:
            folder = save_report(self.workspace, report)
        except OSError as error:
            raise unwritable_error(self.workspace, error) from error
        if self.recorder is None or self.recorder.poll() is not None:
            self.recorder = start_recorder(self.workspace, self.uri)
        return folder / REPORT_HTML

    def close(self) -> None:
        """Waits for MLflow up to a timeout; the next recorder records reports that are missing."""
        if self.metrics_page:
            self.metrics_page.close()
        code = None
        if self.recorder:
            with suppress(subprocess.TimeoutExpired):
                code = self.recorder.wait(RECORDING_TIMEOUT_S)
            if code != 0:
                log = self.workspace.monitoring_log
                print(f"Not in MLflow yet: {self.uri} does not answer, see {log}", file=sys.stderr)


def _replace_file(path: Path, text: str) -> None:
    try:
        with fileio.replace_file(path.absolute()) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be written.",
            expected="a file in a folder that this user may write, with free space",
            received=error.strerror or str(error),
            action="correct that, or name another file",
        ) from error


REPORT_JSON, REPORT_HTML, RECORDED_MARK = f"{REPORT_STEM}.json", f"{REPORT_STEM}.html", "recorded"


def save_report(workspace: Workspace, report: Report) -> Path:
    """Writes a report as JSON and HTML into a new folder, which is returned; removes the oldest recorded ones."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(report.made))
    place = workspace.monitoring / report.name / f"{stamp}-{uuid.uuid4().hex[:4]}"
    with fileio.create_folder(place) as temporary:
        write_report_files(temporary, REPORT_STEM, report)
    _remove_oldest(place.parent)
    return place


def write_report_files(folder: Path, stem: str, report: Report) -> list[Path]:
    """Writes a report as STEM.json and STEM.html into a folder; returns both paths."""
    paths = [folder / f"{stem}.json", folder / f"{stem}.html"]
    fileio.write_json(paths[0], report.as_json())
    with fileio.replace_file(paths[1]) as temporary:
        temporary.write_text(monitoring_report.render_html(report), encoding="utf-8")
    return paths


def pending_reports(workspace: Workspace) -> list[Path]:
    """Returns the folders of the reports that are not recorded in MLflow, oldest first."""
    folders = [
        path.parent
        for path in workspace.monitoring.glob(f"*/*/{REPORT_JSON}")
        if not path.with_name(RECORDED_MARK).exists()
    ]
    return sorted(folders, key=lambda folder: folder.name)


def _remove_oldest(folder: Path) -> None:
    recorded = sorted(path.parent for path in folder.glob(f"*/{RECORDED_MARK}"))
    for old in recorded[:-MAX_REPORTS]:
        shutil.rmtree(old, ignore_errors=True)


def start_recorder(workspace: Workspace, uri: str) -> subprocess.Popen[bytes]:
    """Starts to record the pending reports; exit code 0 if all are recorded, 4 if MLflow cannot be reached."""
    return process.start("pipeline.monitoring", workspace, uri, workspace.monitoring_log)


def record_report(destination: TrackingStore, folder: Path) -> str:
    """Records one report and returns the MLflow run's id; a second time changes nothing.

    Args:
        destination: The MLflow to write to.
        folder: Folder of the report.
    """
    report = fileio.read_json(folder / REPORT_JSON)
    experiment = destination.ensure_experiment(report["name"])
    run = destination.run(experiment, {REPORT_TAG: folder.name}) or _create_run(
        destination, experiment, folder.name, report
    )
    _log_metrics(destination, run, report)
    for name in (REPORT_HTML, REPORT_JSON):
        destination.client.log_artifact(run, str(folder / name), "drift")
    destination.client.set_terminated(run, "FINISHED", int(report["made"] * 1000))
    (folder / RECORDED_MARK).write_text(run)
    return run


def _create_run(destination: TrackingStore, experiment: str, identifier: str, report: dict[str, Any]) -> str:
    tags = {
        REPORT_TAG: identifier,
        KIND_TAG: "monitor",
        "keraspipe.status": report["status"],
        "serving_version": str(report["version"]),
        "mlflow.source.name": f"keraspipe monitor {report['name']}",
    }
    name = f"monitor {identifier}"
    return str(destination.client.create_run(experiment, int(report["made"] * 1000), tags, name).info.run_id)


def _log_metrics(destination: TrackingStore, run: str, report: dict[str, Any]) -> None:
    from mlflow.entities import Metric

    at = int(report["made"] * 1000)
    values = {"drift_rows": report["rows"], "drift_alerts": sum(finding["alert"] for finding in report["findings"])}
    for finding in report["findings"]:
        kind = finding["check"] if finding["check"] == "drift" else f"skew/{finding['check']}"
        values[f"{kind}/{finding['key']}/{finding['distance']}"] = finding["value"]
        values[f"{kind}_limit/{finding['key']}/{finding['distance']}"] = finding["limit"]
    metrics = [Metric(metric_name(name), float(value), at, 0) for name, value in values.items()]
    for begin in range(0, len(metrics), METRICS_PER_CALL):
        destination.client.log_batch(run, metrics=metrics[begin : begin + METRICS_PER_CALL])
