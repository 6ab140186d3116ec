"""Before training: new data beside the last blessed data, which are those that the champion has learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import champion
from pipeline.errors import PipelineError
from pipeline.monitoring import comparison, origin, training
from pipeline.monitoring.report import Report

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace import Workspace


def compared(workspace: Workspace, name: str, examples: Path) -> Report | None:
    """The report on the training split of new data; None where there is nothing to compare, or nothing new.

    All features are compared, labels too. That it cannot be done is no reason to stop a run: the report says so.

    Args:
        workspace: The workspace.
        name: The recipe.
        examples: The ingest's artifact of this run.
    """
    live = champion.read(workspace, name)
    source = origin.of_run(workspace, live.run_id) if live else None
    if live is None or source is None or source.examples == examples:
        return None
    against = f"the data of version {live.version}"
    try:
        return _report(workspace, name, examples, source, against)
    except (PipelineError, OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        return Report(name, against, "rows of the new data", 0, (), (f"they could not be compared: {reason}",))


def _report(workspace: Workspace, name: str, examples: Path, source: origin.Origin, against: str) -> Report:
    frame = origin.frame(workspace, name, source)
    found = training.profile(examples, frame.features)
    names = tuple(one.name for one in frame.features)
    new = [f"{one} is new" for one in found.sent if one not in names]
    gone = [f"{one} is in no row" for one in names if not found.sent.get(one)]
    findings = tuple(comparison.findings(comparison.sides_of(frame, names, found)))
    return Report(name, against, "rows of the new data", found.rows, findings, tuple(new), tuple(gone))
