"""Starting the process that records a run, and learning what it recorded."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.tracking import events, process
from pipeline.tracking.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace import RunFolder, Workspace


@dataclass(frozen=True)
class Outcome:
    """What MLflow knows of a run.

    Attributes:
        mlflow_run_id: The run there; empty if it never got there.
        model_version: The version registered by this run; empty if there is none.
        complete: The whole journal is recorded, through to its end.
        error: What is missing there, and why; empty if nothing is.
    """

    mlflow_run_id: str
    model_version: str
    complete: bool
    error: str


@dataclass(frozen=True)
class Recording:
    """A recorder at work on a run."""

    folder: RunFolder
    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, timeout_s: float) -> Outcome:
        """Waits for the recorder; one that needs longer goes on by itself."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return outcome(self.folder, f"still being recorded after {timeout_s:g} s")
        return outcome(self.folder, "" if code in (0, 4) else f"the recorder ended with {code}, see {self.log}")


def start(workspace: Workspace, run_id: str, uri: str, log: Path) -> Recording:
    """Starts to record a run that is about to begin or to go on.

    Call it as early as possible: importing MLflow and making a new database take seconds, beside the run.
    """
    folder = workspace.absolute().run(run_id)
    folder.root.mkdir(parents=True, exist_ok=True)
    since = folder.journal.stat().st_size if folder.journal.exists() else 0
    follow = ["--follow", "--parent", str(os.getpid()), "--since", str(since)]
    recorder = process.start("pipeline.tracking", folder.workspace, uri, log, [run_id, *follow])
    return Recording(folder, recorder, log)


def outcome(folder: RunFolder, problem: str = "") -> Outcome:
    """What has been recorded of a run by now."""
    state = State.load(folder)
    complete = state.complete and not events.more(folder.journal, state.offset)
    errors = filter(None, (problem, state.unreachable, state.error))
    return Outcome(state.mlflow_run_id, state.model_version, complete, "\n".join(errors))
