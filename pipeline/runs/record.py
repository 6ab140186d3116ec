"""The record of a run in the workspace, read without MLflow: parameters, epochs, data, evaluation, result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import UsageError
from pipeline.runs import versions
from pipeline.store import fileio, journal

if TYPE_CHECKING:
    from pipeline.store.layout import Workspace


@dataclass
class RunRecord:
    """The record of a run.

    Attributes:
        run_id: The run.
        recipe: Its recipe.
        params: Hyperparameters and the other options of the request.
        tags: Digests of code and data, host.
        epochs: Metrics of each epoch, the first one first.
        result: Its result; empty while there is none.
        evaluation: Metrics, slices, gate; empty if the run did not get that far.
        data: The ingestion's report: rows by split, classes, bad files.
    """

    run_id: str
    recipe: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    epochs: list[dict[str, float]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


def read_record(workspace: Workspace, run_id: str) -> RunRecord:
    """Reads the record of a run; missing parts are empty."""
    folder = workspace.run(run_id)
    run = RunRecord(
        run_id,
        result=fileio.read_json(folder.result, {}),
        evaluation=fileio.read_json(folder.evaluation, {}),
    )
    epochs: dict[int, dict[str, float]] = {}  # a run that was killed reports its last epoch again
    for event, _ in journal.iter_events(folder.journal):
        if event["event"] == "start":
            run.recipe = event["recipe"]
            run.params |= event["params"]
            run.tags |= event["tags"]
        elif event["event"] == "epoch":
            epochs[event["epoch"]] = event["metrics"]
        elif event["event"] == "file" and Path(event["path"]).name == "report.json":
            run.data = fileio.read_json(workspace.inside(event["path"]), {})
    run.epochs = [epochs[number] for number in sorted(epochs)]
    return run


def find_record(workspace: Workspace, text: str) -> RunRecord:
    """Returns the record of a run id, of `NAME@VERSION`, or of the run whose model is the champion of `NAME`.

    Raises:
        UsageError: There is none, or it was deleted.
    """
    if workspace.run(text).journal.exists():
        return read_record(workspace, text)
    run_ids = [folder.run_id for folder in workspace.run_folders()]
    if "@" not in text and text not in {name.rsplit("-", 3)[0] for name in run_ids}:
        raise UsageError(
            f"There is no run {text!r} in {workspace}.",
            expected="a run id as `keraspipe runs` lists it, or NAME@VERSION",
            received=text,
            action=errors.did_you_mean(text, run_ids) or "list them with: keraspipe runs",
        )
    return read_record(workspace, versions.find_version(workspace, text).require_run_id(workspace))
