"""The MLflow that runs are recorded in: a tracking server, or a database in the workspace.

`TrackingStore` wraps MLflow's client; `Unreachable` is the error when MLflow does not answer. The rest is shared by all
recorders: child runs, tables, and `ErrorCollector` for several writes of which one may fail.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pipeline import subprocesses
from pipeline.errors import PipelineError
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from mlflow.tracking import MlflowClient

    from pipeline.store.layout import Workspace
    from pipeline.store.recording import RecordingState


CONNECT_TIMEOUT_S = 3.0
METRICS_PER_CALL = 500
# Tells MLflow 3 that an experiment is about training models, not about prompts and traces.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
TABLES_TAG = "mlflow.loggedArtifacts"
PARENT_TAG = "mlflow.parentRunId"
DIGEST_TAG = "keraspipe.digest"
VERSION_TAG = "serving_version"


@cache
def _import_mlflow() -> ModuleType:
    """Imports MLflow on first use, because the import takes seconds."""
    with subprocesses.pause_gc():
        import mlflow
    return mlflow


class TrackingStore:
    """A connection to one MLflow.

    Args:
        uri: Address of a server, or a database.
        workspace: Holds the artifacts if there is no server; not needed for reading.
    """

    def __init__(self, uri: str, workspace: Workspace | None = None) -> None:
        self.uri = uri
        self.workspace = workspace

    @property
    def is_server(self) -> bool:
        """Whether this is a tracking server, which decides where artifacts are stored."""
        return urlsplit(self.uri).scheme in ("http", "https")

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client. Creates the tables of a new database, one process at a time."""
        mlflow = _import_mlflow()
        if self.workspace is None:
            return mlflow.MlflowClient(self.uri, self.uri)
        # The parts of MLflow that save a model take no client; by default they create another database.
        _set_tracking_uri(self.uri)
        with fileio.lock(self.workspace.mlflow_lock):
            return mlflow.MlflowClient(self.uri, self.uri)

    def probe(self) -> None:
        """Checks that MLflow answers, with a small request.

        Raises:
            Unreachable: MLflow does not answer, or refuses.
        """
        try:
            self.connect()
            self.client.search_experiments(max_results=1)
        except Exception as error:
            raise Unreachable.from_error(self.uri, error) from error

    def ensure_experiment(self, name: str) -> str:
        """Returns the id of the experiment of that name; creates or restores it if need be."""
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            return self._create(name)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def run(self, experiment_id: str, tags: Mapping[str, str]) -> str:
        """Returns the id of the run that has all these tags; empty if there is none."""
        condition = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in tags.items())
        runs = self.client.search_runs([experiment_id], condition, max_results=1)
        return str(runs[0].info.run_id) if runs else ""

    def has_run(self, run_id: str) -> bool:
        """Whether a run exists; false too for one that somebody deleted."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def log_metrics(self, run_id: str, values: Mapping[str, Any], seconds: float, step: int = 0) -> None:
        """Writes numbers of a run with the event's own time, so that MLflow recognizes repetitions.

        A number that is not defined, such as the AUC of one class, is left out: MLflow would draw NaN as 0.

        Args:
            run_id: MLflow's id of the run.
            values: Numbers by name; None, NaN and infinite ones are left out.
            seconds: Unix time.
            step: Step or epoch.
        """
        from mlflow.entities import Metric

        at = int(seconds * 1000)
        defined = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        batch = [Metric(metric_name(name), float(value), at, step) for name, value in defined.items()]
        for begin in range(0, len(batch), METRICS_PER_CALL):
            self.client.log_batch(run_id, metrics=batch[begin : begin + METRICS_PER_CALL])

    def set_tags(self, run_id: str, values: Mapping[str, object]) -> None:
        """Sets tags of a run."""
        from mlflow.entities import RunTag

        tags = [RunTag(metric_name(name), str(value)) for name, value in values.items()]
        self.client.log_batch(run_id, tags=tags)

    def _create(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.create_experiment(name, self._artifacts(name), EXPERIMENT_TAGS))
        except MlflowException as error:
            # Another recorder created it meanwhile.
            experiment: Any = self.client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
                raise
            return str(experiment.experiment_id)

    def _artifacts(self, name: str) -> str | None:
        if self.is_server or self.workspace is None:
            return None
        return (self.workspace.mlflow_artifacts / name).absolute().as_uri()

    def connect(self) -> None:
        """Opens and closes a connection: this fails within seconds, while MLflow would retry for minutes."""
        if self.is_server:
            address = urlsplit(self.uri)
            port = address.port or {"http": 80, "https": 443}[address.scheme]
            socket.create_connection((address.hostname or "", port), timeout=CONNECT_TIMEOUT_S).close()


def metric_name(name: str) -> str:
    """Returns a name that MLflow accepts: `label=3` becomes `label:3`, other signs become underscores."""
    plain = re.sub(r"[^\w.\- :/]", "_", name.replace("=", ":"))
    return re.sub(r"/{2,}", "/", plain).strip("/. ")[:250] or "_"


class Unreachable(PipelineError):  # noqa: N818  (reads as what it says: `except Unreachable`)
    """MLflow does not answer, or refuses; nothing is lost, because the journal keeps the events.

    Args:
        uri: Address of MLflow.
        reason: What went wrong, in MLflow's or the system's words.
    """

    exit_code = 4

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            "MLflow cannot be reached.",
            expected=f"a tracking server or database at {uri}",
            received=reason,
            action="start the server or correct MLFLOW_TRACKING_URI; the next run records what is missing",
        )
        self.reason = reason

    @classmethod
    def from_error(cls, uri: str, error: Exception) -> Self:
        """Wraps an error of MLflow or the system, shortened to one line."""
        return cls(uri, f"{type(error).__name__}: {error}".splitlines()[0][:300])


class ErrorCollector:
    """Runs several actions and reports at the end which of them failed.

    Args:
        destination: Checked after each failure; if MLflow is down, no other action can work.
    """

    def __init__(self, destination: TrackingStore) -> None:
        self.destination = destination
        self.problems: list[str] = []

    def attempt(self, name: str, action: Callable[[], object]) -> None:
        """Runs one action; a failure is reported by `finish`.

        Raises:
            Unreachable: MLflow does not answer any more.
        """
        try:
            action()
        except Exception as error:  # noqa: BLE001  (any fault of a picture or a table)
            self.destination.probe()
            self.problems.append(f"{name}: {type(error).__name__}: {error}")

    def finish(self) -> None:
        """Raises if anything failed."""
        if self.problems:
            raise RuntimeError("; ".join(self.problems))


def write_table(
    destination: TrackingStore, run_id: str, path: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Replaces a table; MLflow's own `log_table` would append to it when an event is recorded again."""
    data = [[None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row] for row in rows]
    destination.client.log_dict(run_id, {"columns": list(columns), "data": data}, path)
    known = json.loads(destination.client.get_run(run_id).data.tags.get(TABLES_TAG, "[]"))
    entry = {"path": path, "type": "table"}
    if entry not in known:
        destination.client.set_tag(run_id, TABLES_TAG, json.dumps([*known, entry]))


def child_run(
    destination: TrackingStore, state: RecordingState, name: str, tag: Mapping[str, str], seconds: float
) -> str:
    """Returns the id of a child run, also of one created just before a crash; creates it if there is none.

    Args:
        destination: The MLflow to write to.
        state: Holds the ids of the parent and of the children that are known.
        name: Name of the child run, unique among its siblings.
        tag: Tag that identifies it.
        seconds: Unix time of its start.
    """
    run_id = state.children.get(name)
    if run_id is None:
        tags = {PARENT_TAG: state.mlflow_run_id, **tag}
        run_id = destination.run(state.experiment_id, tags)
        if not run_id:
            tags["mlflow.source.name"] = name
            run = destination.client.create_run(state.experiment_id, int(seconds * 1000), tags, name)
            run_id = run.info.run_id
        state.children[name] = run_id
    return run_id


def _set_tracking_uri(uri: str) -> None:
    """Sets MLflow's address in this process only: MLflow would leave it in the environment, as if a user had set it."""
    name = "MLFLOW_TRACKING_URI"
    before = {name: os.environ[name]} if name in os.environ else {}
    _import_mlflow().set_tracking_uri(uri)
    os.environ.pop(name, None)
    os.environ.update(before)
