"""MLflow's aliases and the workspace's record of champion and challenger, kept the same in both directions.

The champion is the version that is live, the challenger one that is served beside it. Which versions they are stands in
the workspace; MLflow shows them as aliases. `push_aliases` writes the record into MLflow, `reconcile` also takes over
what somebody has changed there by hand. `WORKSPACE/aliases/NAME.json` keeps what MLflow was last given, by which a
change by hand is known.

`python -m pipeline.tracking.alias_sync WORKSPACE --uri URI` brings MLflow up to date; commands start it in the
background. Exit code 0: it is. 4: MLflow cannot be reached or refuses.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import subprocesses
from pipeline.errors import PipelineError
from pipeline.registry import promotion
from pipeline.store import champions, fileio
from pipeline.store.layout import Workspace
from pipeline.tracking import process
from pipeline.tracking.client import DIGEST_TAG, VERSION_TAG, TrackingStore, Unreachable

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from pipeline.store.champions import ModelVersion


ALIASES = ("champion", "challenger")
# An answer takes milliseconds; without one the workspace's own record stands.
SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
Aliases = dict[str, int]  # VERSION by alias


def read_aliases(destination: TrackingStore, name: str) -> Aliases:
    """The serving versions that MLflow's aliases name; 0 for one that was never published.

    Importing MLflow makes the first call take seconds.

    Raises:
        Unreachable: The server does not answer within about five seconds, or refuses.
    """
    with fail_fast(destination):
        return {
            alias: _serving_version(destination, name, version)
            for alias, version in _mlflow_aliases(destination, name).items()
        }


@contextmanager
def fail_fast(destination: TrackingStore) -> Iterator[None]:
    """Gives up after seconds what MLflow does not answer.

    Raises:
        Unreachable: It does not, or refuses.
    """
    try:
        with subprocesses.set_variables(**subprocesses.QUIET_MLFLOW, **SHORT_TIMEOUTS):
            destination.connect()
            yield
    except Exception as error:
        raise Unreachable.from_error(destination.uri, error) from error


def push_aliases(destination: TrackingStore, workspace: Workspace, name: str) -> list[str]:
    """Sets MLflow's aliases to what the record says, and notes what it was told.

    Returns:
        What MLflow could not be told, in words: a version that is not registered there (yet).
    """
    problems = []
    with fileio.lock(workspace.aliases_lock(name)):
        now, theirs = champions.read_entry(workspace, name), _mlflow_aliases(destination, name)
        known = read_last_synced(workspace, name, destination.uri) or {}
        for alias, target in (("champion", now.champion), ("challenger", now.challenger)):
            version = _find_version(destination, name, target) if target else ""
            if target and not version:
                problems.append(f"{name}@{target.version} is not registered in MLflow, which cannot call it {alias}")
                continue
            _set_alias(destination, name, alias, theirs.get(alias, ""), version)
            known = {**known, alias: target.version} if target else {key: known[key] for key in known if key != alias}
        write_last_synced(workspace, name, destination.uri, known)
    return problems


def _set_alias(destination: TrackingStore, name: str, alias: str, before: str, after: str) -> None:
    if after and after != before:
        destination.client.set_registered_model_alias(name, alias, after)
    elif before and not after:
        destination.client.delete_registered_model_alias(name, alias)


def _find_version(destination: TrackingStore, name: str, entry: ModelVersion) -> str:
    """MLflow's number of a published version; empty if it has none."""
    condition = (
        f"name = '{name}' and tags.`{VERSION_TAG}` = '{entry.version}' and tags.`{DIGEST_TAG}` = '{entry.digest}'"
    )
    versions = destination.client.search_model_versions(condition)
    return str(max((int(version.version) for version in versions), default=""))


def _mlflow_aliases(destination: TrackingStore, name: str) -> dict[str, str]:
    """MLflow's versions by those of its aliases that are ours; none if it does not know the model."""
    try:
        versions = destination.client.get_registered_model(name).aliases
    except Exception as error:
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {alias: str(version) for alias, version in versions.items() if alias in ALIASES}


def _serving_version(destination: TrackingStore, name: str, version: str) -> int:
    tags: dict[str, Any] = dict(destination.client.get_model_version(name, version).tags)
    return int(tags.get(VERSION_TAG, 0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Tells MLflow of every recipe that it has not been told of."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tracking.alias_sync")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--uri", required=True)
    options = parser.parse_args(arguments)
    return process.run_to_exit_code(options.uri, partial(_sync_all, Workspace(options.workspace), options.uri))


def _sync_all(workspace: Workspace, uri: str) -> None:
    destination = TrackingStore(uri, workspace)
    for name in out_of_sync(workspace, uri):
        with fail_fast(destination):
            problems = push_aliases(destination, workspace, name)
        print(*problems, sep="\n", file=sys.stderr)


@dataclass(frozen=True)
class Reconciliation:
    """What became of a recipe's aliases.

    Attributes:
        name: The recipe.
        aliases: Versions by alias, here and there.
        applied: Changes by hand that hold here now, in words.
        told: What MLflow was told, in words.
        problems: What could be neither, in words; here and there all stays as it is.
    """

    name: str
    aliases: Aliases
    applied: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def reconcile(destination: TrackingStore, workspace: Workspace, name: str) -> Reconciliation:
    """Makes a recipe's record and MLflow's aliases one.

    An alias that is not what MLflow was told was changed by hand. Changed here too, nobody can say which is meant.

    Raises:
        Unreachable: MLflow does not answer; nothing changes then.
    """
    theirs, known = read_aliases(destination, name), read_last_synced(workspace, name, destination.uri)
    applied, problems = [], []
    for alias in ALIASES:
        now = champions.read_entry(workspace, name).aliases
        if not _is_manual_change(alias, theirs, now, known):
            continue
        try:
            _require_one_side(name, alias, theirs, now, known)
            _apply_alias(workspace, name, alias, theirs.get(alias, 0))
            applied.append(f"{alias} {_version_text(now, alias)} -> {_version_text(theirs, alias)}, as set in MLflow")
        except PipelineError as error:
            problems.append(str(error))
    now = champions.read_entry(workspace, name).aliases
    missed = [] if problems else [f"{alias} {_version_text(now, alias)}" for alias in _different_aliases(now, theirs)]
    with fail_fast(destination):
        problems += [] if problems else push_aliases(destination, workspace, name)
    return Reconciliation(name, now, tuple(applied), tuple(missed), tuple(problems))


def _is_manual_change(alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> bool:
    """Whether somebody has set an alias; a champion's that was taken away is given back."""
    if theirs.get(alias) == now.get(alias) or (alias not in theirs and (alias == "champion" or known is None)):
        return False
    return known is None or theirs.get(alias) != known.get(alias)


def _require_one_side(name: str, alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> None:
    if known is None or now.get(alias) == known.get(alias):
        return
    raise PipelineError(
        f"The {alias} of {name} was changed here and in MLflow.",
        expected=f"version {_version_text(known, alias)}, which MLflow was told last, on one of both sides",
        received=f"{_version_text(now, alias)} here, {_version_text(theirs, alias)} in MLflow",
        action=f"say which it is: keraspipe {'promote' if alias == 'champion' else alias} {name}@VERSION",
    )


def _apply_alias(workspace: Workspace, name: str, alias: str, version: int) -> None:
    if alias == "champion":
        promotion.promote(workspace, f"{name}@{version}")
    elif version:
        promotion.challenge(workspace, f"{name}@{version}")
    else:
        promotion.withdraw(workspace, name)


def _different_aliases(now: Aliases, theirs: Aliases) -> list[str]:
    return [alias for alias in ALIASES if now.get(alias) != theirs.get(alias)]


def _version_text(versions: Aliases, alias: str) -> str:
    return str(versions.get(alias) or "none")


def read_last_synced(workspace: Workspace, name: str, uri: str) -> Aliases | None:
    """What this MLflow was told of a recipe; None if nothing is known of it."""
    kept = fileio.read_json(workspace.synced_aliases(name), {})
    return dict(kept["aliases"]) if kept.get("uri") == uri else None


def write_last_synced(workspace: Workspace, name: str, uri: str, aliases: Aliases) -> None:
    """Keeps what this MLflow was told."""
    fileio.write_json(workspace.synced_aliases(name), {"uri": uri, "aliases": aliases})


def out_of_sync(workspace: Workspace, uri: str) -> list[str]:
    """The recipes whose versions stand elsewhere than MLflow was told."""
    names = champions.recipe_names(workspace)
    return [
        name
        for name in names
        if champions.read_entry(workspace, name).aliases != read_last_synced(workspace, name, uri)
    ]


def spawn_alias_sync(workspace: Workspace, uri: str) -> subprocess.Popen[bytes]:
    """Starts the process, which outlives us. What it cannot tell is told by the next one."""
    return process.start("pipeline.tracking.alias_sync", workspace, uri, workspace.aliases_log)


if __name__ == "__main__":
    process.exit_now(main())
