"""Finds and removes what a workspace no longer needs: old versions, artifacts, runs and checkpoints.

Versions with an alias, the version that a rollback would restore, everything that these were made from, and everything
newer than some days is kept. During a run nothing is removed. Artifacts of older runs are cached results: TFX ignores
cache entries without files, so a step whose artifact was removed runs again when it is needed.
"""

from __future__ import annotations

import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.runs.provenance import Provenance
from pipeline.runs.versions import Version
from pipeline.store import champions, fileio
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.layout import Workspace

DAY_S = 86_400


@dataclass(frozen=True)
class Garbage:
    """A folder or file that can be removed.

    Attributes:
        path: The folder or file.
        what: "version", "artifact", "run" or "checkpoint".
        size: Its size in bytes.
        days: Days since it was last written.
    """

    path: Path
    what: str
    size: int
    days: float


def find_garbage(workspace: Workspace, days: float) -> list[Garbage]:
    """Returns everything that can be removed, the largest first.

    Args:
        workspace: The workspace.
        days: Age in days; newer files are kept.
    """
    protected = needed_paths(workspace)
    garbage = [_measure(path, what) for path, what in removable_paths(workspace) if path not in protected]
    return sorted((item for item in garbage if item.days > days), key=lambda item: -item.size)


def needed_paths(workspace: Workspace) -> set[Path]:
    """Returns the folders of versions with an alias, of their runs, and of the artifacts of these."""
    source = Provenance(workspace)
    paths = set()
    for model in referenced_versions(workspace):
        paths.add(workspace.model(model.name, model.number))
        paths.add(workspace.run(model.run_id).root)
        for execution in source.executions(model.run_id):
            paths |= {Path(artifact.uri) for artifact in [*execution.inputs.values(), *execution.outputs.values()]}
    return {path if path.is_dir() else path.parent for path in paths}  # a value artifact is a file in its folder


def referenced_versions(workspace: Workspace) -> Iterator[Version]:
    """Yields the versions with an alias, and the one that a rollback would restore."""
    for name in champions.recipe_names(workspace):
        entry = champions.current_entry(workspace, name)
        for model in (entry.champion, entry.challenger, *entry.before[-1:]):
            if model:
                yield Version(name, model.version, model.run_id)


def removable_paths(workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """Yields all removable paths of the workspace, needed or not, with their kind."""
    yield from ((path, "version") for path in workspace.models.glob("*/*") if path.is_dir() and path.name.isdigit())
    yield from ((path, "artifact") for path in workspace.artifacts.glob("*/*/*/*") if path.name.isdigit())
    yield from ((folder.root, "run") for folder in workspace.run_folders())
    yield from ((path, "checkpoint") for path in workspace.checkpoints.glob("*") if path.is_dir())


def remove_garbage(workspace: Workspace, days: float) -> list[Garbage]:
    """Removes all garbage and returns it; if killed, it leaves nothing partly removed under its name.

    Raises:
        PipelineError: A run is in progress, and may need any of it.
    """
    with lock(workspace.runs_lock, on_wait=_refuse):
        garbage = find_garbage(workspace, days)
        removed = [item for item in garbage if _move_to_trash(item, workspace)]
        _forget_requests({item.path.name for item in removed if item.what == "run"}, workspace)
        shutil.rmtree(workspace.trash, ignore_errors=True)
    return removed


def _refuse() -> None:
    raise PipelineError(
        "Nothing was removed: a run is in progress in this workspace.",
        expected="a workspace without a run",
        received="a run that may need old files",
        action="wait for its end, then run the same command again",
    )


def _move_to_trash(item: Garbage, workspace: Workspace) -> bool:
    """Moves an item to the trash by a rename, unless it is a version that has an alias meanwhile."""
    workspace.trash.mkdir(exist_ok=True)
    with lock(workspace.publish_lock(item.path.parent.name)):
        if item.what == "version" and item.path in needed_paths(workspace):
            return False
        item.path.rename(workspace.trash / f"{item.path.name}-{uuid.uuid4().hex[:8]}")
    return True


def _forget_requests(run_ids: set[str], workspace: Workspace) -> None:
    """Deletes the index entries of removed runs, so that the same request runs again."""
    for path in workspace.requests.glob("*.json"):
        entry = fileio.read_json(path, {})
        if {entry.get("unfinished"), entry.get("result", {}).get("run_id")} & run_ids:
            path.unlink()


def _measure(path: Path, what: str) -> Garbage:
    files = [file for file in path.rglob("*") if file.is_file()]
    newest = max((file.stat().st_mtime for file in files), default=path.stat().st_mtime)
    return Garbage(path, what, sum(file.stat().st_size for file in files), (time.time() - newest) / DAY_S)
