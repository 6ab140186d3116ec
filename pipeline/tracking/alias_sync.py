"""MLflow's aliases: which version of a recipe it calls champion and challenger, and having it call others so.

`python -m pipeline.tracking.aliases WORKSPACE --uri URI` tells it all that it has not been told.
Exit code 0: it knows. 4: MLflow cannot be reached or refuses.

Aliases that somebody has changed in MLflow become where versions stand; what MLflow has missed, it is told.

Which aliases MLflow was last told: `WORKSPACE/aliases/NAME.json`, by which a change by hand is known there.

Having MLflow told where versions stand, by a process that nobody waits for; imports no MLflow itself.
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
from pipeline.tracking.client import DIGEST_TAG, VERSION_TAG, Destination, Unreachable

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from pipeline.store.champions import ModelVersion


ALIASES = ("champion", "challenger")
# An answer takes milliseconds; without one the workspace's own record stands.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
Aliases = dict[str, int]  # VERSION by alias


def read_aliases(destination: Destination, name: str) -> Aliases:
    """The serving versions that MLflow's aliases name; 0 for one that was never published.

    Importing MLflow makes the first call take seconds.

    Raises:
        Unreachable: The server does not answer within about five seconds, or refuses.
    """
    with asking(destination):
        return {alias: _published(destination, name, one) for alias, one in _aliases(destination, name).items()}


@contextmanager
def asking(destination: Destination) -> Iterator[None]:
    """Gives up after seconds what MLflow does not answer.

    Raises:
        Unreachable: It does not, or refuses.
    """
    try:
        with subprocesses.set_variables(**subprocesses.QUIET_MLFLOW, **IMPATIENT):
            destination.connect()
            yield
    except Exception as error:
        raise Unreachable.because(destination.uri, error) from error


def tell(destination: Destination, workspace: Workspace, name: str) -> list[str]:
    """Sets MLflow's aliases to what the record says, and notes what it was told.

    Returns:
        What MLflow could not be told, in words: a version that is not registered there (yet).
    """
    problems = []
    with fileio.lock(workspace.aliases_lock(name)):
        now, theirs = champions.read_entry(workspace, name), _aliases(destination, name)
        known = read_synced(workspace, name, destination.uri) or {}
        for alias, one in (("champion", now.champion), ("challenger", now.challenger)):
            version = _registered(destination, name, one) if one else ""
            if one and not version:
                problems.append(f"{name}@{one.version} is not registered in MLflow, which cannot call it {alias}")
                continue
            _set(destination, name, alias, theirs.get(alias, ""), version)
            known = {**known, alias: one.version} if one else {key: known[key] for key in known if key != alias}
        write(workspace, name, destination.uri, known)
    return problems


def _set(destination: Destination, name: str, alias: str, before: str, after: str) -> None:
    if after and after != before:
        destination.client.set_registered_model_alias(name, alias, after)
    elif before and not after:
        destination.client.delete_registered_model_alias(name, alias)


def _registered(destination: Destination, name: str, one: ModelVersion) -> str:
    """MLflow's number of a published version; empty if it has none."""
    condition = f"name = '{name}' and tags.`{VERSION_TAG}` = '{one.version}' and tags.`{DIGEST_TAG}` = '{one.digest}'"
    found = destination.client.search_model_versions(condition)
    return str(max((int(version.version) for version in found), default=""))


def _aliases(destination: Destination, name: str) -> dict[str, str]:
    """MLflow's versions by those of its aliases that are ours; none if it does not know the model."""
    try:
        found = destination.client.get_registered_model(name).aliases
    except Exception as error:
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {alias: str(version) for alias, version in found.items() if alias in ALIASES}


def _published(destination: Destination, name: str, version: str) -> int:
    tags: dict[str, Any] = dict(destination.client.get_model_version(name, version).tags)
    return int(tags.get(VERSION_TAG, 0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Tells MLflow of every recipe that it has not been told of."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tracking.alias_sync")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--uri", required=True)
    options = parser.parse_args(arguments)
    return process.code(options.uri, partial(_tell_all, Workspace(options.workspace), options.uri))


def _tell_all(workspace: Workspace, uri: str) -> None:
    destination = Destination(uri, workspace)
    for name in behind(workspace, uri):
        with asking(destination):
            problems = tell(destination, workspace, name)
        print(*problems, sep="\n", file=sys.stderr)


@dataclass(frozen=True)
class Reconciled:
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


def reconcile(destination: Destination, workspace: Workspace, name: str) -> Reconciled:
    """Makes a recipe's record and MLflow's aliases one.

    An alias that is not what MLflow was told was changed by hand. Changed here too, nobody can say which is meant.

    Raises:
        Unreachable: MLflow does not answer; nothing changes then.
    """
    theirs, known = read_aliases(destination, name), read_synced(workspace, name, destination.uri)
    applied, problems = [], []
    for alias in ALIASES:
        now = champions.read_entry(workspace, name).aliases
        if not _by_hand(alias, theirs, now, known):
            continue
        try:
            _require_alone(name, alias, theirs, now, known)
            _apply(workspace, name, alias, theirs.get(alias, 0))
            applied.append(f"{alias} {_said(now, alias)} -> {_said(theirs, alias)}, as set in MLflow")
        except PipelineError as error:
            problems.append(str(error))
    now = champions.read_entry(workspace, name).aliases
    missed = [] if problems else [f"{alias} {_said(now, alias)}" for alias in _differing(now, theirs)]
    with asking(destination):
        problems += [] if problems else tell(destination, workspace, name)
    return Reconciled(name, now, tuple(applied), tuple(missed), tuple(problems))


def _by_hand(alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> bool:
    """Whether somebody has set an alias; a champion's that was taken away is given back."""
    if theirs.get(alias) == now.get(alias) or (alias not in theirs and (alias == "champion" or known is None)):
        return False
    return known is None or theirs.get(alias) != known.get(alias)


def _require_alone(name: str, alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> None:
    if known is None or now.get(alias) == known.get(alias):
        return
    raise PipelineError(
        f"The {alias} of {name} was changed here and in MLflow.",
        expected=f"version {_said(known, alias)}, which MLflow was told last, on one of both sides",
        received=f"{_said(now, alias)} here, {_said(theirs, alias)} in MLflow",
        action=f"say which it is: keraspipe {'promote' if alias == 'champion' else alias} {name}@VERSION",
    )


def _apply(workspace: Workspace, name: str, alias: str, version: int) -> None:
    if alias == "champion":
        promotion.promote(workspace, f"{name}@{version}")
    elif version:
        promotion.challenge(workspace, f"{name}@{version}")
    else:
        promotion.withdraw(workspace, name)


def _differing(now: Aliases, theirs: Aliases) -> list[str]:
    return [alias for alias in ALIASES if now.get(alias) != theirs.get(alias)]


def _said(versions: Aliases, alias: str) -> str:
    return str(versions.get(alias) or "none")


def read_synced(workspace: Workspace, name: str, uri: str) -> Aliases | None:
    """What this MLflow was told of a recipe; None if nothing is known of it."""
    kept = fileio.read_json(workspace.synced_aliases(name), {})
    return dict(kept["aliases"]) if kept.get("uri") == uri else None


def write(workspace: Workspace, name: str, uri: str, aliases: Aliases) -> None:
    """Keeps what this MLflow was told."""
    fileio.write_json(workspace.synced_aliases(name), {"uri": uri, "aliases": aliases})


def behind(workspace: Workspace, uri: str) -> list[str]:
    """The recipes whose versions stand elsewhere than MLflow was told."""
    names = champions.recipe_names(workspace)
    return [
        name for name in names if champions.read_entry(workspace, name).aliases != read_synced(workspace, name, uri)
    ]


def send(workspace: Workspace, uri: str) -> subprocess.Popen[bytes]:
    """Starts the process, which outlives us. What it cannot tell is told by the next one."""
    return process.start("pipeline.tracking.alias_sync", workspace, uri, workspace.aliases_log)


if __name__ == "__main__":
    process.end(main())
