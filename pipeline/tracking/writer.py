"""Writes each event of a run's journal into MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.reports import data_report as statistics
from pipeline.store import fileio, journal
from pipeline.tracking import client, evaluation, model_registry, overview, run_context
from pipeline.tracking.child_runs import StepRuns, TrialRuns
from pipeline.tracking.client import ErrorCollector, metric_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store.layout import RunFolder
    from pipeline.store.recording import RecordingState
    from pipeline.tracking.client import TrackingStore

RUN_TAG = "keraspipe.run_id"
RUN_STATUS = {"finished": "FINISHED", "not_blessed": "FINISHED", "failed": "FAILED"}
METHODS = {"tuned": "finish_search"}  # the event and the method that writes it, where their names differ
MAX_DESCRIPTION_LENGTH = 5000


class MlflowWriter:
    """Writes one run into MLflow; writing an event twice changes nothing.

    Args:
        destination: The MLflow to write to.
        folder: The run's folder in the workspace.
        state: What is recorded so far; this class fills in the ids.
    """

    def __init__(self, destination: TrackingStore, folder: RunFolder, state: RecordingState) -> None:
        self.destination = destination
        self.folder = folder
        self.state = state
        self.steps = StepRuns(destination, folder, state)
        self.trials = TrialRuns(destination, state)

    def record(self, event: Mapping[str, Any]) -> None:
        """Writes one event; kinds that are not recorded in MLflow are ignored."""
        write = getattr(self, f"_{METHODS.get(event['event'], event['event'])}", None)
        if write is not None:
            write(event)

    def stop(self) -> None:
        """Marks a run as killed if its process has gone without an `end` event."""
        if self.state.mlflow_run_id:
            self._write_steps_table()
            self.steps.stop()
            self.destination.client.set_terminated(self.state.mlflow_run_id, "KILLED")

    def _start(self, event: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self._open_run(event)
        self.destination.client.update_run(self.state.mlflow_run_id, status="RUNNING")
        self.destination.set_tags(
            self.state.mlflow_run_id, {"mlflow.note.content": event.get("description", ""), **event.get("tags", {})}
        )
        params = [Param(metric_name(name), str(value)) for name, value in event.get("params", {}).items()]
        self.destination.client.log_batch(self.state.mlflow_run_id, params=params)

    def _step(self, event: Mapping[str, Any]) -> None:
        self.steps.step(event)

    def _execution(self, event: Mapping[str, Any]) -> None:
        self.steps.execution(event)

    def _trial(self, event: Mapping[str, Any]) -> None:
        self.trials.trial(event)

    def _trial_epoch(self, event: Mapping[str, Any]) -> None:
        self.trials.epoch(event)

    def _finish_search(self, event: Mapping[str, Any]) -> None:
        best = {f"best.{name}": value for name, value in event["params"].items()}
        self.destination.set_tags(self.state.mlflow_run_id, {"keraspipe.best_trial": event["number"], **best})

    def _front(self, event: Mapping[str, Any]) -> None:
        self.trials.front(event, self.folder.workspace.require_path(event["picture"]))

    def _epoch(self, event: Mapping[str, Any]) -> None:
        values = dict(event["metrics"])
        # Zero, where a run that found its training done repeats an epoch.
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

    def _alarm(self, event: Mapping[str, Any]) -> None:
        self.destination.set_tags(self.state.mlflow_run_id, {"alarm": event["words"]})

    def _history(self, event: Mapping[str, Any]) -> None:
        from pipeline.plots.curves import learning_curves

        self.destination.set_tags(self.state.mlflow_run_id, {"diagnosis": event.get("diagnosis", "")})
        content = fileio.read_json(self.folder.workspace.require_path(event["path"]))
        figure = learning_curves(content["history"], event.get("diagnosis", ""))
        self.destination.client.log_figure(self.state.mlflow_run_id, figure, overview.CURVES)

    def _environment(self, event: Mapping[str, Any]) -> None:
        path = self.folder.workspace.require_path(event["path"])
        run_context.record_environment(self.destination, self.state.mlflow_run_id, path)

    def _data(self, event: Mapping[str, Any]) -> None:
        paths = {
            name: self.folder.workspace.require_path(event[name])
            for name in ("statistics", "schema", "anomalies", "report")
        }
        client, run = self.destination.client, self.state.mlflow_run_id
        collector = ErrorCollector(self.destination)
        collector.attempt(
            "dataset",
            lambda: run_context.record_dataset(self.destination, run, event, paths["statistics"], paths["schema"]),
        )
        collector.attempt(
            "report", lambda: client.log_text(run, _data_report_html(event, paths), "data/statistics.html")
        )
        collector.finish()

    def _card(self, event: Mapping[str, Any]) -> None:
        markdown, html = (self.folder.workspace.require_path(event[form]) for form in ("markdown", "html"))
        for path in (markdown, html):
            self.destination.client.log_artifact(self.state.mlflow_run_id, str(path), "card")
        if self.state.model_version:
            words = card_description(markdown.read_text())
            self.destination.client.update_model_version(self._recipe_name(), self.state.model_version, words)

    def _file(self, event: Mapping[str, Any]) -> None:
        path = self.folder.workspace.require_path(event["path"])
        self.destination.client.log_artifact(self.state.mlflow_run_id, str(path), event.get("folder") or None)

    def _evaluation(self, event: Mapping[str, Any]) -> None:
        path = self.folder.workspace.require_path(event["path"])
        evaluation.record(self.destination, self.state.mlflow_run_id, path, event["time"])
        self._describe()

    def _register(self, event: Mapping[str, Any]) -> None:
        model = self.folder.workspace.require_path(event["model"])
        self.state.model_version = model_registry.register(
            self.destination, self.state, self._recipe_name(), model, event
        )

    def _publish(self, event: Mapping[str, Any]) -> None:
        model_registry.publish(self.destination, self.state, self._recipe_name(), event)

    def _end(self, event: Mapping[str, Any]) -> None:
        collector = ErrorCollector(self.destination)
        collector.attempt("steps", self._write_steps_table)
        collector.attempt("description", self._describe)
        collector.attempt("view", self._write_view)
        collector.attempt("tags", lambda: self.destination.set_tags(self.state.mlflow_run_id, _end_tags(event)))
        at = int(event["time"] * 1000)
        status = RUN_STATUS.get(str(event.get("status")), "FAILED")
        collector.attempt("end", lambda: self.destination.client.set_terminated(self.state.mlflow_run_id, status, at))
        collector.finish()

    def _describe(self) -> None:
        run = self.state.mlflow_run_id
        self.destination.set_tags(run, {"mlflow.note.content": overview.describe_run(self.folder, run)})

    def _write_view(self) -> None:
        """Sets the columns and charts of the experiment's page to what this run has."""
        headlines = list((fileio.read_json(self.folder.evaluation) or {}).get("metrics", {}))
        if headlines:
            client, state = self.destination.client, self.state
            view = overview.experiment_view(client.get_run(state.mlflow_run_id).data.metrics, headlines)
            client.set_experiment_tag(state.experiment_id, overview.VIEW_TAG, view)
            state.has_view = True

    def _open_run(self, event: Mapping[str, Any]) -> None:
        """Finds the run, also one created just before a crash, or creates it."""
        experiment = self.destination.ensure_experiment(event["recipe"])
        run = self.destination.run(experiment, {RUN_TAG: self.folder.run_id})
        if not run:
            tags = {RUN_TAG: self.folder.run_id, "mlflow.source.name": f"keraspipe run {event['recipe']}"}
            at = int(event["time"] * 1000)
            run = self.destination.client.create_run(experiment, at, tags, self.folder.run_id).info.run_id
        self.state.experiment_id, self.state.mlflow_run_id = experiment, run

    def _recipe_name(self) -> str:
        return str(self.destination.client.get_experiment(self.state.experiment_id).name)

    def _write_steps_table(self) -> None:
        """Writes the table of the steps from the events so far."""
        steps: dict[str, Mapping[str, Any]] = {}
        for event in journal.read_events(self.folder.journal):
            if event.kind == "step" and event.fields.get("state") != "started":
                steps[event.fields["name"]] = event.fields
        columns = ("order", "name", "state", "seconds")
        rows = [[step.get(column) for column in columns] for step in steps.values()]
        client.write_table(self.destination, self.state.mlflow_run_id, "steps.json", columns, rows)


def card_description(card: str) -> str:
    """Returns as many sections of a card as fit into a version's description in MLflow."""
    first, *sections = card.split("\n## ")
    description = first
    for section in sections:
        if len(description) + len(section) + len("\n## ") <= MAX_DESCRIPTION_LENGTH:
            description += f"\n## {section}"
    return description[:MAX_DESCRIPTION_LENGTH]


def _data_report_html(event: Mapping[str, Any], paths: Mapping[str, Path]) -> str:
    return statistics.render_html(event["name"], event["digest"], statistics.Sources(**paths))


def _end_tags(event: Mapping[str, Any]) -> dict[str, object]:
    ending = {"keraspipe.status": event.get("status", "")}
    if event.get("message"):
        ending["keraspipe.message"] = event["message"]
    if event.get("seconds") is not None:
        ending["keraspipe.seconds"] = round(event["seconds"], 3)
    return ending
