"""A child run for each step of a run: its time, what went in, what came out, and where ML Metadata keeps both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.tracking import children, metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tracking.destination import Destination
    from pipeline.tracking.state import State
    from pipeline.workspace import RunFolder

STEP_TAG = "keraspipe.step"
STATUS = {"started": "RUNNING", "done": "FINISHED", "cached": "FINISHED", "failed": "FAILED"}


class Steps:
    """The child runs of one run; recording an event twice changes nothing.

    Args:
        destination: The MLflow to write to.
        folder: The run's folder in the workspace.
        state: Holds the ids of the run and of its children.
    """

    def __init__(self, destination: Destination, folder: RunFolder, state: State) -> None:
        self.destination = destination
        self.folder = folder
        self.state = state

    def step(self, event: Mapping[str, Any]) -> None:
        """Begins or ends a child run; a step that was skipped has none."""
        from mlflow.entities import Metric, RunTag

        status = STATUS.get(event["state"])
        if status is None:
            return
        run, at = self._run(event["name"], event["time"]), int(event["time"] * 1000)
        client = self.destination.client
        if status == "RUNNING":
            client.update_run(run, status=status)
            return
        seconds = Metric("seconds", float(event.get("seconds") or 0.0), at, 0)
        client.log_batch(run, metrics=[seconds], tags=[RunTag("keraspipe.state", event["state"])])
        client.set_terminated(run, status, at)

    def execution(self, event: Mapping[str, Any]) -> None:
        """Writes inputs, outputs and ML Metadata's ids into the child run, and MLflow's ids into ML Metadata."""
        from mlflow.entities import RunTag

        run = self._run(event["name"], event["time"])
        tags = {**_tags(event), "mlflow.note.content": page(event)}
        self.destination.client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
        whole = {"mlmd.pipeline_run": event["pipeline_run"], "mlmd.context_id": str(event["context_id"])}
        own = [RunTag(name, value) for name, value in whole.items()]
        self.destination.client.log_batch(self.state.mlflow_run_id, tags=own)
        metadata.link(self.folder.workspace, event, run, self.state.mlflow_run_id)

    def stop(self) -> None:
        """Marks what was at work when the run was killed."""
        client = self.destination.client
        for run in self.state.children.values():
            if client.get_run(run).info.status == "RUNNING":
                client.set_terminated(run, "KILLED")

    def _run(self, name: str, seconds: float) -> str:
        """The child run of a step."""
        return children.child(self.destination, self.state, name, {STEP_TAG: name}, seconds)


def _tags(event: Mapping[str, Any]) -> dict[str, str]:
    tags = {"mlmd.execution_id": str(event["execution_id"]), "mlmd.pipeline_run": event["pipeline_run"]}
    for side in ("inputs", "outputs"):
        for name, artifacts in event[side].items():
            told = (f"{one['type']} {one['id']}: {one['uri']}" for one in artifacts)
            tags[f"{side.removesuffix('s')}.{name}"] = "\n".join(told)
    return tags


def page(event: Mapping[str, Any]) -> str:
    """What went in and came out, as MLflow shows it on the child run's page."""
    lines = ["| | name | type | ML Metadata | where |", "|---|---|---|---:|---|"]
    for side in ("inputs", "outputs"):
        for name, artifacts in event[side].items():
            lines += [f"| {side[:-1]} | {name} | {a['type']} | {a['id']} | `{a['uri']}` |" for a in artifacts]
    return "\n".join([f"Execution {event['execution_id']} in ML Metadata (`metadata.db`).", "", *lines])
