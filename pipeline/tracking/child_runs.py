"""Child runs in MLflow: one for each step of a run, and one for each trial of a search.

A step's run holds its time, its inputs and outputs, and the ids of its execution in ML Metadata, which gets MLflow's
ids in turn. A trial's run holds its hyperparameters, its metrics by epoch, and how it ended. Recording an event twice
changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.tracking import client

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store.layout import RunFolder, Workspace
    from pipeline.store.recording import RecordingState
    from pipeline.tracking.client import TrackingStore


STEP_TAG = "keraspipe.step"
STEP_STATUS = {"started": "RUNNING", "done": "FINISHED", "cached": "FINISHED", "failed": "FAILED"}
RUN_ID_PROPERTY = "mlflow_run_id"
TRIAL_TAG = "keraspipe.trial"
TRIAL_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
MAX_REASON_LENGTH = 5000
FRONT_PICTURE = "pictures/pareto.png"  # as the workspace names the file


class StepRuns:
    """Child runs for the steps of a run; recording an event twice changes nothing.

    Args:
        destination: The MLflow to write to.
        folder: The run's folder in the workspace.
        state: Holds the ids of the run and of its children.
    """

    def __init__(self, destination: TrackingStore, folder: RunFolder, state: RecordingState) -> None:
        self.destination = destination
        self.folder = folder
        self.state = state

    def step(self, event: Mapping[str, Any]) -> None:
        """Begins or ends a child run; a step that was skipped has none."""
        from mlflow.entities import RunTag

        status = STEP_STATUS.get(event["state"])
        if status is None:
            return
        run, at = self._child_run(event["name"], event["time"]), int(event["time"] * 1000)
        client = self.destination.client
        if status == "RUNNING":
            client.update_run(run, status=status)
            return
        # Tags, because MLflow draws a chart of a single bar for each metric.
        texts = {"keraspipe.state": event["state"], "keraspipe.seconds": str(event.get("seconds") or 0.0)}
        client.log_batch(run, tags=[RunTag(name, text) for name, text in texts.items()])
        client.set_terminated(run, status, at)

    def execution(self, event: Mapping[str, Any]) -> None:
        """Writes inputs, outputs and ML Metadata's ids into the child run, and MLflow's ids into ML Metadata."""
        from mlflow.entities import RunTag

        run = self._child_run(event["name"], event["time"])
        tags = {**_execution_tags(event), "mlflow.note.content": execution_page(event)}
        self.destination.client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
        whole = {"mlmd.pipeline_run": event["pipeline_run"], "mlmd.context_id": str(event["context_id"])}
        own = [RunTag(name, value) for name, value in whole.items()]
        self.destination.client.log_batch(self.state.mlflow_run_id, tags=own)
        link_execution(self.folder.workspace, event, run, self.state.mlflow_run_id)

    def stop(self) -> None:
        """Marks the steps that were running when the run was killed."""
        client = self.destination.client
        for run in self.state.children.values():
            if client.get_run(run).info.status == "RUNNING":
                client.set_terminated(run, "KILLED")

    def _child_run(self, name: str, seconds: float) -> str:
        """Returns the id of a step's child run, which is created if need be."""
        return client.child_run(self.destination, self.state, name, {STEP_TAG: name}, seconds)


def _execution_tags(event: Mapping[str, Any]) -> dict[str, str]:
    tags = {"mlmd.execution_id": str(event["execution_id"]), "mlmd.pipeline_run": event["pipeline_run"]}
    for side in ("inputs", "outputs"):
        for name, artifacts in event[side].items():
            entries = (f"{artifact['type']} {artifact['id']}: {artifact['uri']}" for artifact in artifacts)
            tags[f"{side.removesuffix('s')}.{name}"] = "\n".join(entries)
    return tags


def execution_page(event: Mapping[str, Any]) -> str:
    """Returns the inputs and outputs as Markdown for the child run's page in MLflow."""
    lines = ["| | name | type | ML Metadata | where |", "|---|---|---|---:|---|"]
    for side in ("inputs", "outputs"):
        for name, artifacts in event[side].items():
            lines += [f"| {side[:-1]} | {name} | {a['type']} | {a['id']} | `{a['uri']}` |" for a in artifacts]
    return "\n".join([f"Execution {event['execution_id']} in ML Metadata (`metadata.db`).", "", *lines])


def link_execution(workspace: Workspace, event: Mapping[str, Any], step_run: str, run: str) -> None:
    """Puts the child run's id on the step's execution, and the run's id on the context of the pipeline run.

    Does nothing if the store has begun anew after a repair, and so lacks the run, or has another under its number.
    The step has ended, and nobody else writes these two entries; ML Metadata itself waits for SQLite's lock.

    Args:
        workspace: Holds the store.
        event: The event `execution`.
        step_run: Id of the step's run in MLflow.
        run: Id of the whole run in MLflow.

    Raises:
        LookupError: The store has no such execution, for example because it was deleted meanwhile.
    """
    if not workspace.metadata_db.exists():
        return
    store = _open_store(workspace.metadata_db)
    executions = store.get_executions_by_id([event["execution_id"]])
    contexts = [c for c in store.get_contexts_by_id([event["context_id"]]) if c.name == event["pipeline_run"]]
    if not contexts:
        return
    if not executions:
        raise LookupError(f"{workspace.metadata_db} has no execution {event['execution_id']}")
    for node, value in ((executions[0], step_run), (contexts[0], run)):
        node.custom_properties[RUN_ID_PROPERTY].string_value = value
    store.put_executions(executions)
    store.put_contexts(contexts)


def _open_store(path: Path) -> Any:
    from ml_metadata.metadata_store.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

    return MetadataStore(ConnectionConfig(sqlite={"filename_uri": str(path)}))


class TrialRuns:
    """Child runs for the trials of a search; recording an event twice changes nothing.

    Args:
        destination: The MLflow to write to.
        state: Holds the ids of the search's run and of its children.
    """

    def __init__(self, destination: TrackingStore, state: RecordingState) -> None:
        self.destination = destination
        self.state = state

    def trial(self, event: Mapping[str, Any]) -> None:
        """Begins a child run with its hyperparameters, or ends it with its result."""
        from mlflow.entities import Param, RunTag

        run, at, client = self._child_run(event), int(event["time"] * 1000), self.destination.client
        params = [Param(name, str(value)) for name, value in event["params"].items()]
        client.log_batch(run, params=params)
        if event["state"] == "started":
            client.update_run(run, status="RUNNING")
            return
        texts = {"keraspipe.state": event["state"], "keraspipe.message": event["reason"][:MAX_REASON_LENGTH]}
        texts |= {f"keraspipe.{name}": str(event[name]) for name in ("seconds", "epochs") if event[name] is not None}
        client.log_batch(run, tags=[RunTag(name, text) for name, text in texts.items() if text])
        best, log = f"best/{event['objective']}", self.destination.log_metrics
        if len(event.get("values", {})) > 1:  # of several objectives none is the best
            log(run, {f"objective/{name}": value for name, value in event["values"].items()}, event["time"])
        else:
            log(run, {best: event["value"]}, event["time"])
        client.set_terminated(run, TRIAL_STATUS[event["state"]], at)
        if event["best"] is not None:
            log(self.state.mlflow_run_id, {best: event["best"]}, event["time"], event["number"])

    def epoch(self, event: Mapping[str, Any]) -> None:
        """Writes the metrics of an epoch."""
        self.destination.log_metrics(self._child_run(event), event["metrics"], event["time"], event["epoch"])

    def front(self, event: Mapping[str, Any], picture: Path) -> None:
        """Writes the Pareto front of a search: its picture, a table, and which trial was picked, as tags."""
        run, store = self.state.mlflow_run_id, self.destination
        store.client.log_artifact(run, str(picture), FRONT_PICTURE.rpartition("/")[0])
        client.write_table(store, run, "pareto.json", *front_table(event))
        picked = {} if event["picked"] is None else {"keraspipe.picked_trial": event["picked"]}
        front = ", ".join(map(str, event["front"]))
        store.set_tags(run, {"keraspipe.front": front, "keraspipe.balanced_trial": event["balanced"], **picked})

    def _child_run(self, event: Mapping[str, Any]) -> str:
        name = f"trial {event['number']}"
        tag = {TRIAL_TAG: str(event["number"])}
        return client.child_run(self.destination, self.state, name, tag, event["time"])


def front_table(event: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Returns columns and rows of the trials on a Pareto front, from the event `front`; params as text."""
    trials = {trial["number"]: trial for trial in event["trials"]}
    names = [objective["name"] for objective in event["objectives"]]
    params = list(trials[event["front"][0]]["params"])

    def make_row(number: int) -> list[Any]:
        values, chosen = trials[number]["values"], trials[number]["params"]
        return [number, *(values[name] for name in names), *(str(chosen[name]) for name in params)]

    return ["trial", *names, *params], [make_row(number) for number in event["front"]]
