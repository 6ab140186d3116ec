"""Finds and removes what a workspace no longer needs: old versions, artifacts, runs and checkpoints.

Kept is what an alias names, the version a rollback leads to, what those were made from, and what is newer than some
days. While a run goes on nothing is removed. Artifacts of older runs are cached results: a step whose artifact was
removed is run again when it is needed, because TFX takes nothing from its cache whose files are gone.
"""

from __future__ import annotations

import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.runs.lineage import Provenance
from pipeline.runs.versions import Version
from pipeline.store import champions, fileio
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.layout import Workspace

DAY_S = 86_400


@dataclass(frozen=True)
class Garbage:
    """A folder or file that can go.

    Attributes:
        path: Where it is.
        what: "version", "artifact", "run" or "checkpoint".
        size: Bytes.
        days: Days since it was last written.
    """

    path: Path
    what: str
    size: int
    days: float


def find_garbage(workspace: Workspace, days: float) -> list[Garbage]:
    """All that can go, the largest first.

    Args:
        workspace: The workspace.
        days: What is newer is kept.
    """
    protected = needed_paths(workspace)
    garbage = [_measure(path, what) for path, what in removable_paths(workspace) if path not in protected]
    return sorted((item for item in garbage if item.days > days), key=lambda item: -item.size)


def needed_paths(workspace: Workspace) -> set[Path]:
    """What live and aliased versions are made of: their directories, their runs, and the artifacts of those."""
    source = Provenance(workspace)
    paths = set()
    for model in referenced_versions(workspace):
        paths.add(workspace.model(model.name, model.number))
        paths.add(workspace.run(model.run_id).root)
        for execution in source.executions(model.run_id):
            paths |= {Path(artifact.uri) for artifact in [*execution.inputs.values(), *execution.outputs.values()]}
    return {path if path.is_dir() else path.parent for path in paths}  # a value lies as a file in its folder


def referenced_versions(workspace: Workspace) -> Iterator[Version]:
    """The versions that an alias names, and the one to which a rollback leads."""
    for name in champions.recipe_names(workspace):
        entry = champions.current_entry(workspace, name)
        for model in (entry.champion, entry.challenger, *entry.before[-1:]):
            if model:
                yield Version(name, model.version, model.run_id)


def removable_paths(workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """Everything that may be removed at all, with what it is."""
    yield from ((path, "version") for path in workspace.models.glob("*/*") if path.is_dir() and path.name.isdigit())
    yield from ((path, "artifact") for path in workspace.artifacts.glob("*/*/*/*") if path.name.isdigit())
    yield from ((folder.root, "run") for folder in workspace.run_folders())
    yield from ((path, "checkpoint") for path in workspace.checkpoints.glob("*") if path.is_dir())


def remove_garbage(workspace: Workspace, days: float) -> list[Garbage]:
    """Removes what can go and returns it; killed halfway, it leaves nothing half removed under its name.

    Raises:
        PipelineError: A run is going on, whose needs are not known yet.
    """
    with lock(workspace.runs_lock, on_wait=_refuse):
        garbage = find_garbage(workspace, days)
        removed = [item for item in garbage if _move_to_trash(item, workspace)]
        _forget_requests({item.path.name for item in removed if item.what == "run"}, workspace)
        shutil.rmtree(workspace.trash, ignore_errors=True)
    return removed


def _refuse() -> None:
    raise PipelineError(
        "Nothing was removed: a run is going on in this workspace.",
        expected="a workspace without a run",
        received="a run that may need what looks old",
        action="wait for its end, and do the same again",
    )


def _move_to_trash(item: Garbage, workspace: Workspace) -> bool:
    """Takes it away by a rename; not a version that has got an alias meanwhile."""
    workspace.trash.mkdir(exist_ok=True)
    with lock(workspace.publish_lock(item.path.parent.name)):
        if item.what == "version" and item.path in needed_paths(workspace):
            return False
        item.path.rename(workspace.trash / f"{item.path.name}-{uuid.uuid4().hex[:8]}")
    return True


def _forget_requests(run_ids: set[str], workspace: Workspace) -> None:
    """Lets go of the answers to requests that removed runs gave: the same request runs anew."""
    for path in workspace.requests.glob("*.json"):
        entry = fileio.read_json(path, {})
        if {entry.get("unfinished"), entry.get("result", {}).get("run_id")} & run_ids:
            path.unlink()


def _measure(path: Path, what: str) -> Garbage:
    files = [file for file in path.rglob("*") if file.is_file()]
    newest = max((file.stat().st_mtime for file in files), default=path.stat().st_mtime)
    return Garbage(path, what, sum(file.stat().st_size for file in files), (time.time() - newest) / DAY_S)
