"""Reports in MLflow: a run of kind `monitor` in the recipe's experiment, written by a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import atomic
from pipeline.monitoring import archive
from pipeline.tracking import process
from pipeline.tracking.destination import METRICS_PER_CALL, metric_name

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from pipeline.tracking.destination import Destination
    from pipeline.workspace import Workspace

TAG = "keraspipe.monitor_id"
KIND = "keraspipe.kind"


def start(workspace: Workspace, uri: str) -> subprocess.Popen[bytes]:
    """Starts to record what MLflow has not seen; exit code 0 when it has all, 4 when it cannot be reached."""
    return process.start("pipeline.monitoring", workspace, uri, workspace.monitoring_log)


def write(destination: Destination, folder: Path) -> str:
    """Records one report and returns the MLflow run's id; a second time changes nothing.

    Args:
        destination: The MLflow.
        folder: Of the report.
    """
    report = atomic.read_json(folder / archive.JSON)
    experiment = destination.experiment(report["name"])
    run = destination.run(experiment, {TAG: folder.name}) or _created(destination, experiment, folder.name, report)
    _log_metrics(destination, run, report)
    for name in (archive.HTML, archive.JSON):
        destination.client.log_artifact(run, str(folder / name), "drift")
    destination.client.set_terminated(run, "FINISHED", int(report["made"] * 1000))
    (folder / archive.RECORDED).write_text(run)
    return run


def _created(destination: Destination, experiment: str, identifier: str, report: dict[str, Any]) -> str:
    tags = {
        TAG: identifier,
        KIND: "monitor",
        "keraspipe.status": report["status"],
        "serving_version": str(report["version"]),
        "mlflow.source.name": f"keraspipe monitor {report['name']}",
    }
    name = f"monitor {identifier}"
    return str(destination.client.create_run(experiment, int(report["made"] * 1000), tags, name).info.run_id)


def _log_metrics(destination: Destination, run: str, report: dict[str, Any]) -> None:
    from mlflow.entities import Metric

    at = int(report["made"] * 1000)
    values = {"drift_rows": report["rows"], "drift_alerts": sum(one["alert"] for one in report["findings"])}
    for one in report["findings"]:
        kind = one["check"] if one["check"] == "drift" else f"skew/{one['check']}"
        values[f"{kind}/{one['key']}/{one['distance']}"] = one["value"]
        values[f"{kind}_limit/{one['key']}/{one['distance']}"] = one["limit"]
    metrics = [Metric(metric_name(name), float(value), at, 0) for name, value in values.items()]
    for begin in range(0, len(metrics), METRICS_PER_CALL):
        destination.client.log_batch(run, metrics=metrics[begin : begin + METRICS_PER_CALL])
