"""Starts the process that records a run in MLflow, reads its state, and replays what MLflow lacks.

Runs that are not fully recorded, because MLflow did not answer or the recorder was killed, are recorded by a later run.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.store import journal
from pipeline.store.recording import RecordingState
from pipeline.tracking import process

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.store.layout import RunFolder, Workspace


LATER = "The record is in the workspace; a later run sends it when MLflow is reachable again."


@dataclass(frozen=True)
class Outcome:
    """State of a run in MLflow.

    Attributes:
        mlflow_run_id: Id of the run in MLflow; empty if it is not recorded.
        model_version: The version registered by this run; empty if there is none.
        complete: Whether the whole journal is recorded.
        error: What is missing, and why; empty if nothing is.
    """

    mlflow_run_id: str
    model_version: str
    complete: bool
    error: str

    def describe(self, uri: str) -> str:
        """Returns what is missing in MLflow, for the terminal; empty if nothing is.

        Args:
            uri: MLflow server or database.
        """
        if self.complete and not self.error:
            return ""
        reason = "; ".join(self.error.splitlines()) or "the recorder has ended too early"
        if self.complete:
            return f"{reason}\nThe rest is recorded in MLflow, and all of it in the workspace."
        return f"{uri}: {reason}\n{LATER}"


@dataclass(frozen=True)
class Recording:
    """A running recorder of a run."""

    folder: RunFolder
    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, timeout_s: float) -> Outcome:
        """Waits for the recorder up to `timeout_s` seconds; a slower one continues in the background."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return read_outcome(self.folder, f"still being recorded after {timeout_s:g} s")
        return read_outcome(self.folder, "" if code in (0, 4) else f"the recorder ended with {code}, see {self.log}")


def start_recording(workspace: Workspace, run_id: str, uri: str, log: Path) -> Recording:
    """Starts to record a run that is about to begin or to resume.

    Call it as early as possible: importing MLflow and creating a new database take seconds, while the run starts.
    """
    folder = workspace.absolute().run(run_id)
    folder.root.mkdir(parents=True, exist_ok=True)
    since = folder.journal.stat().st_size if folder.journal.exists() else 0
    follow = ["--follow", "--parent", str(os.getpid()), "--since", str(since)]
    recorder = process.start("pipeline.tracking", folder.workspace, uri, log, [run_id, *follow])
    return Recording(folder, recorder, log)


def read_outcome(folder: RunFolder, problem: str = "") -> Outcome:
    """Returns what is recorded of a run by now."""
    state = RecordingState.load(folder)
    complete = state.complete and not journal.has_events(folder.journal, state.offset)
    errors = filter(None, (problem, state.unreachable, state.error))
    return Outcome(state.mlflow_run_id, state.model_version, complete, "\n".join(errors))


def pending_runs(workspace: Workspace) -> list[str]:
    """Returns the runs with events that are not recorded, oldest first; running ones may be among them."""
    folders = sorted(workspace.run_folders(), key=_start_time)
    return [
        folder.run_id for folder in folders if journal.has_events(folder.journal, RecordingState.load(folder).offset)
    ]


def replay_pending(workspace: Workspace, uri: str, log: Path, timeout_s: float | None = None) -> dict[str, Outcome]:
    """Records the pending runs in one process, and returns the outcome of each run.

    Runs that another process is recording are skipped. After `timeout_s` seconds the process continues in the
    background.
    """
    run_ids = pending_runs(workspace)
    if run_ids:
        _record_runs(workspace.absolute(), run_ids, uri, log, timeout_s)
    return {run_id: read_outcome(workspace.absolute().run(run_id)) for run_id in run_ids}


def _record_runs(workspace: Workspace, run_ids: list[str], uri: str, log: Path, timeout_s: float | None) -> None:
    child = process.start("pipeline.tracking", workspace, uri, log, run_ids)
    Recording(workspace.run(run_ids[0]), child, log).finish(timeout_s or 1e6)


def _start_time(folder: RunFolder) -> float:
    first = next(journal.read_events(folder.journal), None)
    return float(first.fields.get("time", 0.0)) if first else 0.0
