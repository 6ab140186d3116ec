"""Keeps MLflow's aliases and the workspace's record of champion and challenger the same, in both directions.

The champion is the live version; the challenger is a second version served next to it. The workspace records which
versions they are, and MLflow shows them as aliases. `push_aliases` writes the record into MLflow; `reconcile` also
applies changes made in MLflow by hand. `WORKSPACE/aliases/NAME.json` holds the aliases last sent to MLflow; an alias
that differs from them was changed by hand.

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
from pipeline.console import exit_now
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
ALIAS_TAG = "alias"  # of a run
# An answer takes milliseconds; without one the workspace's own record is used.
SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
Aliases = dict[str, int]  # VERSION by alias


def read_aliases(destination: TrackingStore, name: str) -> Aliases:
    """Returns the serving version of each alias in MLflow; 0 for a version that was never published.

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
    """Makes calls to MLflow fail within seconds instead of retrying.

    Raises:
        Unreachable: MLflow does not answer, or refuses.
    """
    try:
        with subprocesses.set_variables(**subprocesses.QUIET_MLFLOW, **SHORT_TIMEOUTS):
            destination.connect()
            yield
    except Exception as error:
        raise Unreachable.from_error(destination.uri, error) from error


def push_aliases(destination: TrackingStore, workspace: Workspace, name: str) -> list[str]:
    """Sets MLflow's aliases to the workspace's record, and saves what was sent.

    Returns:
        One message for each alias that could not be set because its version is not registered in MLflow (yet).
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
            _tag_runs(destination, name, alias, version)
            known = {**known, alias: target.version} if target else {key: known[key] for key in known if key != alias}
        write_last_synced(workspace, name, destination.uri, known)
    return problems


def _set_alias(destination: TrackingStore, name: str, alias: str, before: str, after: str) -> None:
    if after and after != before:
        destination.client.set_registered_model_alias(name, alias, after)
    elif before and not after:
        destination.client.delete_registered_model_alias(name, alias)


def _tag_runs(destination: TrackingStore, name: str, alias: str, version: str) -> None:
    """Shows the alias in the table of runs: the run of the version has it as a tag, and no other run."""
    run = destination.client.get_model_version(name, version).run_id if version else ""
    experiment = destination.client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return
    tagged = destination.client.search_runs([experiment.experiment_id], f"tags.`{ALIAS_TAG}` = '{alias}'")
    for other in {entry.info.run_id for entry in tagged} - {run}:
        destination.client.delete_tag(other, ALIAS_TAG)
    if run and destination.has_run(run):
        destination.client.set_tag(run, ALIAS_TAG, alias)


def _find_version(destination: TrackingStore, name: str, entry: ModelVersion) -> str:
    """Returns MLflow's number of a published version; empty if it has none."""
    condition = (
        f"name = '{name}' and tags.`{VERSION_TAG}` = '{entry.version}' and tags.`{DIGEST_TAG}` = '{entry.digest}'"
    )
    versions = destination.client.search_model_versions(condition)
    return str(max((int(version.version) for version in versions), default=""))


def _mlflow_aliases(destination: TrackingStore, name: str) -> dict[str, str]:
    """Returns MLflow's versions by alias, for our aliases only; empty if MLflow does not know the model."""
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
    """Pushes the aliases of every recipe whose record differs from what was last sent."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tracking.alias_sync")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--uri", required=True)
    options = parser.parse_args(arguments)
    home = Workspace(options.workspace)
    return process.run_to_exit_code(home, options.uri, partial(_sync_all, home, options.uri))


def _sync_all(workspace: Workspace, uri: str) -> None:
    destination = TrackingStore(uri, workspace)
    for name in out_of_sync(workspace, uri):
        with fail_fast(destination):
            problems = push_aliases(destination, workspace, name)
        print(*problems, sep="\n", file=sys.stderr)


@dataclass(frozen=True)
class Reconciliation:
    """Result of reconciling a recipe's aliases with MLflow.

    Attributes:
        name: The recipe.
        aliases: Versions by alias, after reconciling.
        applied: One message for each change made in MLflow that the workspace now has.
        told: One message for each alias that was sent to MLflow. The name is a key of `keraspipe sync --json`.
        problems: One message for each alias that could not be reconciled; both sides are then unchanged.
    """

    name: str
    aliases: Aliases
    applied: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def reconcile(destination: TrackingStore, workspace: Workspace, name: str) -> Reconciliation:
    """Applies changes made in MLflow to a recipe's record, then pushes the record to MLflow.

    An alias in MLflow that differs from what was last sent was changed by hand. If the workspace's record changed as
    well, this is a conflict and is reported as a problem.

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
            kept = f"MLflow keeps this alias until it is moved there to {_version_text(now, alias)} again."
            problems.append(f"{error}\n{kept}")
    now = champions.read_entry(workspace, name).aliases
    sent = [] if problems else [f"{alias} {_version_text(now, alias)}" for alias in _different_aliases(now, theirs)]
    with fail_fast(destination):
        problems += [] if problems else push_aliases(destination, workspace, name)
    return Reconciliation(name, now, tuple(applied), tuple(sent), tuple(problems))


def _is_manual_change(alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> bool:
    """Whether an alias was changed in MLflow by hand; a removed champion alias does not count and is set again."""
    if theirs.get(alias) == now.get(alias) or (alias not in theirs and (alias == "champion" or known is None)):
        return False
    return known is None or theirs.get(alias) != known.get(alias)


def _require_one_side(name: str, alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> None:
    if known is None or now.get(alias) == known.get(alias):
        return
    raise PipelineError(
        f"The {alias} of {name} was changed here and in MLflow.",
        expected=f"version {_version_text(known, alias)}, which was last sent to MLflow, on one of both sides",
        received=f"{_version_text(now, alias)} here, {_version_text(theirs, alias)} in MLflow",
        action=f"choose one: keraspipe {'promote' if alias == 'champion' else alias} {name}@VERSION",
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
    """Returns the aliases last sent to this MLflow for a recipe; None if none were sent."""
    record = fileio.read_json(workspace.synced_aliases(name), {})
    return dict(record["aliases"]) if record.get("uri") == workspace.portable_uri(uri) else None


def write_last_synced(workspace: Workspace, name: str, uri: str, aliases: Aliases) -> None:
    """Saves the aliases that were sent to this MLflow."""
    fileio.write_json(workspace.synced_aliases(name), {"uri": workspace.portable_uri(uri), "aliases": aliases})


def out_of_sync(workspace: Workspace, uri: str) -> list[str]:
    """Returns the recipes whose record differs from what was last sent to MLflow."""
    names = champions.recipe_names(workspace)
    return [
        name
        for name in names
        if champions.read_entry(workspace, name).aliases != read_last_synced(workspace, name, uri)
    ]


def spawn_alias_sync(workspace: Workspace, uri: str) -> subprocess.Popen[bytes]:
    """Starts the process, which outlives this one. What it cannot send, the next one sends."""
    return process.start("pipeline.tracking.alias_sync", workspace, uri, workspace.aliases_log)


if __name__ == "__main__":
    exit_now(main())
