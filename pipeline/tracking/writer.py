"""What each event of a journal becomes in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.reports import data_report as statistics
from pipeline.store import fileio, journal
from pipeline.tracking import client, evaluation, model_registry, run_context
from pipeline.tracking.child_runs import Steps, Trials
from pipeline.tracking.client import Parts, metric_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store.layout import RunFolder
    from pipeline.store.recording import RecordingState
    from pipeline.tracking.client import Destination

RUN_TAG = "keraspipe.run_id"
STATUS = {"finished": "FINISHED", "not_blessed": "FINISHED", "failed": "FAILED"}
LONGEST_DESCRIPTION = 5000


class Scribe:
    """Writes one run into MLflow; writing an event twice leaves what writing it once leaves.

    Args:
        destination: The MLflow to write to.
        folder: The run's folder in the workspace.
        state: What is recorded so far; the ids in it are filled in here.
    """

    def __init__(self, destination: Destination, folder: RunFolder, state: RecordingState) -> None:
        self.destination = destination
        self.folder = folder
        self.state = state
        self.steps = Steps(destination, folder, state)
        self.trials = Trials(destination, state)

    def record(self, event: Mapping[str, Any]) -> None:
        """Writes one event; kinds that MLflow has no use for are passed over."""
        write = getattr(self, f"_{event['event']}", None)
        if write is not None:
            write(event)

    def stop(self) -> None:
        """Marks a run as killed whose process is gone without an `end`."""
        if self.state.mlflow_run_id:
            self._steps()
            self.steps.stop()
            self.destination.client.set_terminated(self.state.mlflow_run_id, "KILLED")

    def _start(self, event: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self._open(event)
        self.destination.client.update_run(self.state.mlflow_run_id, status="RUNNING")
        self.destination.set_tags(
            self.state.mlflow_run_id, {"mlflow.note.content": event.get("description", ""), **event.get("tags", {})}
        )
        params = [Param(metric_name(name), str(value)) for name, value in event.get("params", {}).items()]
        self.destination.client.log_batch(self.state.mlflow_run_id, params=params)

    def _step(self, event: Mapping[str, Any]) -> None:
        if event.get("state") != "started" and event.get("seconds") is not None:
            self.destination.log_metrics(
                self.state.mlflow_run_id, {f"step_seconds/{event['name']}": event["seconds"]}, event["time"]
            )
        self.steps.step(event)

    def _execution(self, event: Mapping[str, Any]) -> None:
        self.steps.execution(event)

    def _trial(self, event: Mapping[str, Any]) -> None:
        self.trials.trial(event)

    def _trial_epoch(self, event: Mapping[str, Any]) -> None:
        self.trials.epoch(event)

    def _tuned(self, event: Mapping[str, Any]) -> None:
        best = {f"best.{name}": value for name, value in event["params"].items()}
        self.destination.set_tags(self.state.mlflow_run_id, {"keraspipe.best_trial": event["number"], **best})

    def _epoch(self, event: Mapping[str, Any]) -> None:
        values = dict(event["metrics"])
        # Zero, where an epoch is told again by a run that found its training done.
        if event.get("seconds"):
            values["epoch_seconds"] = event["seconds"]
        if event.get("samples_per_second"):
            values["samples_per_second"] = event["samples_per_second"]
        self.destination.log_metrics(self.state.mlflow_run_id, values, event["time"], event["epoch"])

    def _curve(self, event: Mapping[str, Any]) -> None:
        values = {f"step/{name}": value for name, value in event["metrics"].items()}
        self.destination.log_metrics(
            self.state.mlflow_run_id, {**values, "step/epoch": event["epoch"]}, event["time"], event["step"]
        )

    def _history(self, event: Mapping[str, Any]) -> None:
        from pipeline.plots.curves import curves

        self.destination.set_tags(self.state.mlflow_run_id, {"diagnosis": event.get("diagnosis", "")})
        kept = fileio.read_json(self.folder.workspace.require_path(event["path"]))
        figure = curves(kept["history"], event.get("diagnosis", ""))
        run = self.state.mlflow_run_id
        self.destination.client.log_figure(run, figure, "pictures/learning_curves.png")

    def _environment(self, event: Mapping[str, Any]) -> None:
        path = self.folder.workspace.require_path(event["path"])
        run_context.record_environment(self.destination, self.state.mlflow_run_id, path)

    def _data(self, event: Mapping[str, Any]) -> None:
        places = {
            name: self.folder.workspace.require_path(event[name])
            for name in ("statistics", "schema", "anomalies", "report")
        }
        client, run = self.destination.client, self.state.mlflow_run_id
        parts = Parts(self.destination)
        parts.do(
            "dataset",
            lambda: run_context.record_dataset(self.destination, run, event, places["statistics"], places["schema"]),
        )
        parts.do("report", lambda: client.log_text(run, _report(event, places), "data/statistics.html"))
        parts.finish()

    def _card(self, event: Mapping[str, Any]) -> None:
        markdown, html = (self.folder.workspace.require_path(event[form]) for form in ("markdown", "html"))
        for path in (markdown, html):
            self.destination.client.log_artifact(self.state.mlflow_run_id, str(path), "card")
        if self.state.model_version:
            words = description(markdown.read_text())
            self.destination.client.update_model_version(self._name(), self.state.model_version, words)

    def _file(self, event: Mapping[str, Any]) -> None:
        path = self.folder.workspace.require_path(event["path"])
        self.destination.client.log_artifact(self.state.mlflow_run_id, str(path), event.get("folder") or None)

    def _evaluation(self, event: Mapping[str, Any]) -> None:
        path = self.folder.workspace.require_path(event["path"])
        evaluation.record(self.destination, self.state.mlflow_run_id, path, event["time"])

    def _register(self, event: Mapping[str, Any]) -> None:
        model = self.folder.workspace.require_path(event["model"])
        self.state.model_version = model_registry.register(self.destination, self.state, self._name(), model, event)

    def _publish(self, event: Mapping[str, Any]) -> None:
        model_registry.publish(self.destination, self.state, self._name(), event)

    def _end(self, event: Mapping[str, Any]) -> None:
        parts = Parts(self.destination)
        parts.do("steps", self._steps)
        parts.do("tags", lambda: self.destination.set_tags(self.state.mlflow_run_id, _ending(event)))
        at = int(event["time"] * 1000)
        status = STATUS.get(str(event.get("status")), "FAILED")
        parts.do("end", lambda: self.destination.client.set_terminated(self.state.mlflow_run_id, status, at))
        parts.finish()

    def _open(self, event: Mapping[str, Any]) -> None:
        """Finds the run, also one made just before a crash, or makes it."""
        experiment = self.destination.experiment(event["recipe"])
        run = self.destination.run(experiment, {RUN_TAG: self.folder.run_id})
        if not run:
            tags = {RUN_TAG: self.folder.run_id, "mlflow.source.name": f"keraspipe run {event['recipe']}"}
            at = int(event["time"] * 1000)
            run = self.destination.client.create_run(experiment, at, tags, self.folder.run_id).info.run_id
        self.state.experiment_id, self.state.mlflow_run_id = experiment, run

    def _name(self) -> str:
        return str(self.destination.client.get_experiment(self.state.experiment_id).name)

    def _steps(self) -> None:
        """The table of the steps, as the journal tells them up to here."""
        steps: dict[str, Mapping[str, Any]] = {}
        for event in journal.read_events(self.folder.journal):
            if event.kind == "step" and event.fields.get("state") != "started":
                steps[event.fields["name"]] = event.fields
        columns = ("order", "name", "state", "seconds")
        rows = [[step.get(column) for column in columns] for step in steps.values()]
        client.write(self.destination, self.state.mlflow_run_id, "steps.json", columns, rows)


def description(card: str) -> str:
    """As many sections of a card as MLflow takes in a version's description."""
    first, *sections = card.split("\n## ")
    kept = first
    for section in sections:
        if len(kept) + len(section) + len("\n## ") <= LONGEST_DESCRIPTION:
            kept += f"\n## {section}"
    return kept[:LONGEST_DESCRIPTION]


def _report(event: Mapping[str, Any], places: Mapping[str, Path]) -> str:
    return statistics.html(event["name"], event["digest"], statistics.Sources(**places))


def _ending(event: Mapping[str, Any]) -> dict[str, object]:
    ending = {"keraspipe.status": event.get("status", "")}
    if event.get("message"):
        ending["keraspipe.message"] = event["message"]
    if event.get("seconds") is not None:
        ending["keraspipe.seconds"] = round(event["seconds"], 3)
    return ending
