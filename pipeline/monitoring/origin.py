"""Where a run's training data lie, and what its model is asked with: from the run's journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import atomic, champion, journal
from pipeline.errors import PipelineError, UsageError
from pipeline.monitoring import training
from pipeline.monitoring.frame import Frame

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.champion import Champion
    from pipeline.workspace import Workspace

FORMAT = 1  # of the frames that are kept
SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Origin:
    """Of a run.

    Attributes:
        examples: The ingest's artifact: the splits, and `report.json`.
        inputs: Names that the published model's `serving_default` takes; empty where nothing was registered.
    """

    examples: Path
    inputs: tuple[str, ...]


def of_run(workspace: Workspace, run_id: str) -> Origin | None:
    """The origin of a run's model; None where its journal does not tell.

    The journal is asked and not ML Metadata: its paths are relative to the workspace, which may have been moved.
    """
    examples, inputs = None, ()
    for event, _ in journal.read(workspace.run(run_id).journal):
        if event["event"] == "file" and event["path"].endswith("/report.json") and "/ingest/" in event["path"]:
            examples = workspace.inside(event["path"]).parent
        if event["event"] == "register":
            inputs = tuple(event["signatures"].get(SIGNATURE, {}).get("inputs", ()))
    return Origin(examples, inputs) if examples else None


def live(workspace: Workspace, name: str) -> tuple[Champion, Origin]:
    """The champion of a recipe and where it comes from.

    Raises:
        UsageError: Nothing is published.
        PipelineError: The run that made it has left no trace.
    """
    found = champion.read(workspace, name)
    if found is None:
        raise UsageError(
            f"No model {name!r} is published in {workspace}.",
            expected="a published model",
            received=name,
            action=f"run: keraspipe run {name}",
        )
    origin = of_run(workspace, found.run_id)
    if origin is None:
        raise PipelineError(
            f"It is not known what version {found.version} of {name} has learnt from.",
            expected=f"the journal of its run {found.run_id}",
            received="no journal, or one without data",
            action=f"run it again: keraspipe run {name} --no-cache",
        )
    return found, origin


def frame(workspace: Workspace, name: str, origin: Origin) -> Frame:
    """The frame of a run's training data, kept in the workspace for the next time.

    It is kept under the data and not under the model: several models may have learnt from the same.

    Raises:
        PipelineError: The data are gone, and no frame of them was kept.
    """
    path = workspace.baseline(name, origin.examples.name)
    kept: dict[str, Any] = atomic.read_json(path, {})
    if kept.get("format") == FORMAT:
        return Frame.of_json(kept["frame"])
    if not (origin.examples / "report.json").exists():
        raise PipelineError(
            f"The training data of {name} are gone.",
            expected=f"the splits in {origin.examples}",
            received="no such folder",
            action=f"make them again: keraspipe run {name} --no-cache",
        )
    drawn = training.drawn(origin.examples)
    atomic.write_json(path, {"format": FORMAT, "frame": drawn.as_json()})
    return drawn
