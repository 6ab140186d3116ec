"""Runs that MLflow has not seen to their end, because it was away or the recorder was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tracking import events, process, recorder
from pipeline.tracking.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.tracking.recorder import Outcome
    from pipeline.workspace import RunFolder, Workspace


def pending(workspace: Workspace) -> list[str]:
    """The runs with events that MLflow has not seen, oldest first; one that goes on now may be among them."""
    folders = sorted(workspace.run_folders(), key=_began)
    return [folder.run_id for folder in folders if events.more(folder.journal, State.load(folder).offset)]


def replay(workspace: Workspace, uri: str, log: Path, timeout_s: float | None = None) -> dict[str, Outcome]:
    """Records what is pending, in one process, and returns what became of each run.

    Runs that another process records at this moment are left to it. What is not done in time goes on alone.
    """
    run_ids = pending(workspace)
    if run_ids:
        _wait(workspace.absolute(), run_ids, uri, log, timeout_s)
    return {run_id: recorder.outcome(workspace.absolute().run(run_id)) for run_id in run_ids}


def _wait(workspace: Workspace, run_ids: list[str], uri: str, log: Path, timeout_s: float | None) -> None:
    started = process.start("pipeline.tracking", workspace, uri, log, run_ids)
    recorder.Recording(workspace.run(run_ids[0]), started, log).finish(timeout_s or 1e6)


def _began(folder: RunFolder) -> float:
    first = next(events.read(folder.journal), None)
    return float(first.fields.get("time", 0.0)) if first else 0.0
