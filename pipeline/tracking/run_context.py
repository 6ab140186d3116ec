"""The context of a run in MLflow: its data set as an input, its environment, and metrics of the machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.reports import data_statistics
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    from pipeline.tracking.client import TrackingStore


MAX_DIGEST_LENGTH = 36  # the most that MLflow takes; the run's tag data_digest has all of it
CONTEXT_TAG = "mlflow.data.context"
ENVIRONMENT_FOLDER = "environment"
INTERVAL_S = 2


def record_dataset(
    destination: TrackingStore, run_id: str, event: Mapping[str, Any], statistics: Path, schema: Path
) -> None:
    """Records the data as an input of the run; MLflow reuses a data set with the same name and digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    rows = data_statistics.count_rows(statistics)
    dataset = Dataset(
        name=event["name"],
        digest=event["digest"][:MAX_DIGEST_LENGTH] or "unknown",
        source_type="local",
        source=json.dumps({"uri": ", ".join(event["files"])}),
        schema=json.dumps({"mlflow_colspec": _column_specs(statistics, schema)}),
        profile=json.dumps({"num_rows": sum(rows.values()), **rows}),
    )
    inputs = [DatasetInput(dataset, [InputTag(CONTEXT_TAG, "training, evaluation and test")])]
    destination.client.log_inputs(run_id, inputs)


def _column_specs(statistics: Path, schema: Path) -> list[dict[str, Any]]:
    types = {"number": "double", "text": "string", "bytes": "binary"}
    features = data_statistics.read_features(statistics, schema, [])
    return [{"name": feature.name, "type": types[feature.kind], "required": True} for feature in features]


def record_environment(destination: TrackingStore, run_id: str, path: Path) -> None:
    """Writes the environment from the file that the event `environment` names."""
    facts = fileio.read_json(path)
    client = destination.client
    destination.set_tags(run_id, environment_tags(facts))
    client.log_artifact(run_id, str(path), ENVIRONMENT_FOLDER)
    client.log_text(run_id, requirements_text(facts), f"{ENVIRONMENT_FOLDER}/requirements.txt")


def environment_tags(facts: Mapping[str, Any]) -> dict[str, object]:
    """Returns tags that distinguish runs; MLflow's page links the commit by its own tag."""
    git, gpu = facts.get("git", {}), facts.get("gpu", [])
    values = {
        "python": facts["python"],
        "tensorflow": facts["tensorflow"]["version"],
        "uv_lock": facts["lock"],
        "cpu_cores": facts["cpu"]["cores"],
        "gpu": ", ".join(gpu) or "none",
    }
    if git:
        values |= {"mlflow.source.git.commit": git["commit"], "git_dirty": git["dirty"]}
    return values


def requirements_text(facts: Mapping[str, Any]) -> str:
    """Returns one pinned package per line."""
    return "".join(f"{name}=={version}\n" for name, version in facts["packages"].items())


class SystemMetrics:
    """Samples the load of the machine for one run, in the process that records it.

    Args:
        uri: MLflow server or database.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._monitor: SystemMetricsMonitor | None = None

    def watch(self, run_id: str) -> None:
        """Starts sampling for this run, unless it has started already."""
        if run_id and not self._alive():
            self.stop()
            self._start(run_id)

    def stop(self) -> None:
        """Writes the samples and stops."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None

    def _alive(self) -> bool:
        # The monitor's thread gives up at the first failure to write.
        thread = getattr(self._monitor, "_process", None)
        return thread is not None and thread.is_alive()

    def _start(self, run_id: str) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(
            run_id, sampling_interval=INTERVAL_S, resume_logging=True, tracking_uri=self.uri
        )
        self._monitor.start()
