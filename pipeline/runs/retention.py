"""What of a workspace nobody needs any more.

Kept is what is live, what an alias names, what those came from, and what is newer than some days. While a run goes on
nothing is removed. Steps of older runs are cached results: one that was removed is done again when it is asked for,
because TFX takes nothing from its cache whose files are gone.
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


def find(workspace: Workspace, days: float) -> list[Garbage]:
    """All that can go, the largest first.

    Args:
        workspace: The workspace.
        days: What is newer is kept.
    """
    kept = needed(workspace)
    found = [_weighed(path, what) for path, what in candidates(workspace) if path not in kept]
    return sorted((one for one in found if one.days > days), key=lambda one: -one.size)


def needed(workspace: Workspace) -> set[Path]:
    """What live and aliased versions are made of: their directories, their runs, and the artifacts of those."""
    source = Provenance(workspace)
    kept = set()
    for one in versions(workspace):
        kept.add(workspace.model(one.name, one.number))
        kept.add(workspace.run(one.run_id).root)
        for execution in source.executions(one.run_id):
            kept |= {Path(given.uri) for given in [*execution.inputs.values(), *execution.outputs.values()]}
    return {path if path.is_dir() else path.parent for path in kept}  # a value lies as a file in its folder


def versions(workspace: Workspace) -> Iterator[Version]:
    """The versions that an alias names, and the one to which a rollback leads."""
    for name in champions.names(workspace):
        stands = champions.standing(workspace, name)
        for one in (stands.champion, stands.challenger, *stands.before[-1:]):
            if one:
                yield Version(name, one.version, one.run_id)


def candidates(workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """Everything that may be removed at all, with what it is."""
    yield from ((path, "version") for path in workspace.models.glob("*/*") if path.is_dir() and path.name.isdigit())
    yield from ((path, "artifact") for path in workspace.artifacts.glob("*/*/*/*") if path.name.isdigit())
    yield from ((folder.root, "run") for folder in workspace.run_folders())
    yield from ((path, "checkpoint") for path in workspace.checkpoints.glob("*") if path.is_dir())


def remove(workspace: Workspace, days: float) -> list[Garbage]:
    """Removes what can go and returns it; killed halfway, it leaves nothing half removed under its name.

    Raises:
        PipelineError: A run is going on, whose needs are not known yet.
    """
    with lock(workspace.runs_lock, on_wait=_refuse):
        garbage = find(workspace, days)
        removed = [one for one in garbage if _moved(one, workspace)]
        _forget({one.path.name for one in removed if one.what == "run"}, workspace)
        shutil.rmtree(workspace.trash, ignore_errors=True)
    return removed


def _refuse() -> None:
    raise PipelineError(
        "Nothing was removed: a run is going on in this workspace.",
        expected="a workspace without a run",
        received="a run that may need what looks old",
        action="wait for its end, and do the same again",
    )


def _moved(one: Garbage, workspace: Workspace) -> bool:
    """Takes it away by a rename; not a version that has got an alias meanwhile."""
    workspace.trash.mkdir(exist_ok=True)
    with lock(workspace.publish_lock(one.path.parent.name)):
        if one.what == "version" and one.path in needed(workspace):
            return False
        one.path.rename(workspace.trash / f"{one.path.name}-{uuid.uuid4().hex[:8]}")
    return True


def _forget(run_ids: set[str], workspace: Workspace) -> None:
    """Lets go of the answers to requests that removed runs gave: the same request runs anew."""
    for path in workspace.requests.glob("*.json"):
        entry = fileio.read_json(path, {})
        if {entry.get("unfinished"), entry.get("result", {}).get("run_id")} & run_ids:
            path.unlink()


def _weighed(path: Path, what: str) -> Garbage:
    files = [file for file in path.rglob("*") if file.is_file()]
    newest = max((file.stat().st_mtime for file in files), default=path.stat().st_mtime)
    return Garbage(path, what, sum(file.stat().st_size for file in files), (time.time() - newest) / DAY_S)
