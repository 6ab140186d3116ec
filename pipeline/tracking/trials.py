"""A child run for each trial of a search: its hyperparameters, the objective by epoch, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.tracking import children

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tracking.destination import Destination
    from pipeline.tracking.state import State

TRIAL_TAG = "keraspipe.trial"
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
LONGEST_REASON = 5000


class Trials:
    """The child runs of one search; recording an event twice changes nothing.

    Args:
        destination: The MLflow to write to.
        state: Holds the ids of the search's run and of its children.
    """

    def __init__(self, destination: Destination, state: State) -> None:
        self.destination = destination
        self.state = state

    def trial(self, event: Mapping[str, Any]) -> None:
        """Begins a child run with its hyperparameters, or ends it with what came of it."""
        from mlflow.entities import Metric, Param, RunTag

        run, at, client = self._run(event), int(event["time"] * 1000), self.destination.client
        params = [Param(name, str(value)) for name, value in event["params"].items()]
        client.log_batch(run, params=params)
        if event["state"] == "started":
            client.update_run(run, status="RUNNING")
            return
        told = {"keraspipe.state": event["state"], "keraspipe.message": event["reason"][:LONGEST_REASON]}
        numbers = {"seconds": event["seconds"], "epochs": event["epochs"], f"best/{event['objective']}": event["value"]}
        metrics = [Metric(name, float(value), at, 0) for name, value in numbers.items() if value is not None]
        client.log_batch(run, metrics=metrics, tags=[RunTag(name, text) for name, text in told.items() if text])
        client.set_terminated(run, STATUS[event["state"]], at)
        if event["best"] is not None:
            best = Metric(f"best/{event['objective']}", float(event["best"]), at, event["number"])
            client.log_batch(self.state.mlflow_run_id, metrics=[best])

    def epoch(self, event: Mapping[str, Any]) -> None:
        """Writes the metrics of an epoch."""
        from mlflow.entities import Metric

        at = int(event["time"] * 1000)
        metrics = [Metric(name, float(value), at, event["epoch"]) for name, value in event["metrics"].items()]
        self.destination.client.log_batch(self._run(event), metrics=metrics)

    def _run(self, event: Mapping[str, Any]) -> str:
        name = f"trial {event['number']}"
        tag = {TRIAL_TAG: str(event["number"])}
        return children.child(self.destination, self.state, name, tag, event["time"])
