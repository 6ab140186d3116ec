"""Having MLflow told where versions stand, by a process that nobody waits for; imports no MLflow itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import champion
from pipeline.tracking import process, told

if TYPE_CHECKING:
    import subprocess

    from pipeline.workspace import Workspace


def behind(workspace: Workspace, uri: str) -> list[str]:
    """The recipes whose versions stand elsewhere than MLflow was told."""
    names = champion.names(workspace)
    return [name for name in names if champion.recorded(workspace, name).aliases != told.read(workspace, name, uri)]


def send(workspace: Workspace, uri: str) -> subprocess.Popen[bytes]:
    """Starts the process, which outlives us. What it cannot tell is told by the next one."""
    return process.start("pipeline.tracking.aliases", workspace, uri, workspace.aliases_log)
