"""Repairs the damaged files of a workspace, as far as the runs still know what was in them.

A damaged file is set aside, never deleted. What then is missing is made again: the records of champions from the
journals and the links of the servers, MLflow from the journals. ML Metadata begins anew, so that the next run finds
nothing in the cache; the journals keep the lineage.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.store import champions, fileio, journal, layout
from pipeline.store.champions import ModelVersion, RegistryEntry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.store.integrity import Damage
    from pipeline.store.layout import RunFolder, Workspace


def repair_damage(workspace: Workspace, damages: Iterable[Damage]) -> None:
    """Repairs damaged files; each is kept next to its place as `NAME.damaged-TIME`.

    Args:
        workspace: The workspace.
        damages: As `find_damage` returned them.

    Raises:
        PipelineError: A run, recorder or dashboard is using the workspace.
    """
    with ExitStack() as stack:
        for path in (workspace.runs_lock, workspace.location_lock):
            if not stack.enter_context(fileio.try_lock(path)):
                raise _in_use_error(workspace)
        for damage in damages:
            _repair(workspace, damage.path)


def _repair(workspace: Workspace, path: Path) -> None:
    set_aside(path)
    if path == workspace.format_file:
        fileio.write_json(path, {"format": layout.FORMAT})
    elif path == workspace.mlflow_db:
        set_aside(workspace.mlflow_artifacts)
        _forget_recordings(workspace)
    elif path.parent == workspace.champions:
        champions.save_entry(workspace, path.stem, rebuild_entry(workspace, path.stem))
    elif path.name == "result.json":
        result = rebuild_result(workspace, workspace.run(path.parent.name))
        if result:
            fileio.write_json(path, result)


def set_aside(path: Path) -> None:
    """Renames a file, and an SQLite database's journals, so that it can be looked at later."""
    mark = f"damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}{suffix}.{mark}"))


def _forget_recordings(workspace: Workspace) -> None:
    """Makes the next recorder send all journals again."""
    for folder in workspace.run_folders():
        folder.recorded.unlink(missing_ok=True)
    for path in workspace.root.glob("aliases/*.json"):
        path.unlink(missing_ok=True)


def rebuild_entry(workspace: Workspace, name: str) -> RegistryEntry:
    """Returns a recipe's aliases: the versions in the order of their publication, and those that servers have now."""
    entry, published = RegistryEntry(), _published_versions(workspace, name)
    for alias, model in published:
        change = {"champion": entry.with_champion, "challenger": entry.with_challenger, "quick": entry.with_quick}
        entry = change[alias](model)
    by_number = {model.version: model for _, model in published}
    for alias in ("champion", "challenger"):  # a later promotion or rollback is not in the journals
        number = _linked_version(workspace, name if alias == "champion" else f"{name}-{alias}")
        if number and number != entry.aliases.get(alias):
            entry = getattr(entry, f"with_{alias}")(by_number.get(number) or _measure(workspace, name, number))
    return entry


def _published_versions(workspace: Workspace, name: str) -> list[tuple[str, ModelVersion]]:
    """Returns alias and version of each publication whose version still exists, the oldest first."""
    events: list[tuple[float, str, ModelVersion]] = []
    for folder in workspace.run_folders(name):
        for event, _ in journal.iter_events(folder.journal):
            if event["event"] == "publish" and workspace.model(name, event["version"]).is_dir():
                model = ModelVersion(event["version"], event["digest"], folder.run_id)
                events.append((float(event["time"]), str(event.get("alias", "champion")), model))
    return [(alias, model) for _, alias, model in sorted(events, key=lambda event: event[0])]


def _linked_version(workspace: Workspace, served: str) -> int:
    numbers = [int(link.name) for link in (workspace.live_links / served).glob("*") if link.name.isdecimal()]
    return max((number for number in numbers if (workspace.live_links / served / str(number)).exists()), default=0)


def _measure(workspace: Workspace, name: str, number: int) -> ModelVersion:
    return ModelVersion(number, fileio.digest_folder(workspace.model(name, number)), "")


def rebuild_result(workspace: Workspace, folder: RunFolder) -> dict[str, Any]:
    """Returns a run's result from the index of requests, or what its journal knows of it; empty if that is nothing."""
    for path in workspace.requests.glob("*.json"):
        with suppress(ValueError):
            result = (fileio.read_json(path) or {}).get("result") or {}
            if result.get("run_id") == folder.run_id:
                return dict(result)
    return _result_from_journal(folder)


def _result_from_journal(folder: RunFolder) -> dict[str, Any]:
    result: dict[str, Any] = {"run_id": folder.run_id, "recipe": "", "metrics": {}, "steps": []}
    for event, _ in journal.iter_events(folder.journal):
        if event["event"] == "start":
            result["recipe"] = event["recipe"]
        elif event["event"] == "step" and event["state"] in {"done", "cached", "skipped"}:
            state = {"cached": event["state"] == "cached", "skipped": event["state"] == "skipped"}
            result["steps"].append({"name": event["name"], "seconds": event["seconds"] or 0.0, **state})
        elif event["event"] == "publish":
            result |= {"blessed": True, "model_version": event["version"], "quick": event.get("alias") == "quick"}
    with suppress(ValueError):
        evaluation = fileio.read_json(folder.evaluation) or {}
        result["metrics"] = evaluation.get("metrics", {})
        result["blessed"] = evaluation.get("gate", {}).get("blessed", result.get("blessed"))
        result["reasons"] = evaluation.get("gate", {}).get("reasons", [])
    return result if result["recipe"] else {}


def _in_use_error(workspace: Workspace) -> PipelineError:
    return PipelineError(
        f"The workspace {workspace} is in use, and cannot be repaired now.",
        expected="no run, no recorder and no dashboard on it",
        received="a process that holds it",
        action="end it, then: keraspipe doctor --repair",
    )
