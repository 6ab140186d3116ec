"""MLflow's aliases: which version of a recipe it calls champion and challenger, and having it call others so.

`python -m pipeline.tracking.aliases WORKSPACE --uri URI` tells it all that it has not been told.
Exit code 0: it knows. 4: MLflow cannot be reached or refuses.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import champion, filelock, subprocesses
from pipeline.tracking import messenger, process, told
from pipeline.tracking.destination import Destination
from pipeline.tracking.errors import Unreachable
from pipeline.tracking.registration import DIGEST_TAG, VERSION_TAG
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.champion import Champion
    from pipeline.tracking.told import Aliases

ALIASES = ("champion", "challenger")

# An answer takes milliseconds; without one the workspace's own record stands.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}


def read(destination: Destination, name: str) -> Aliases:
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
        with subprocesses.variables(**subprocesses.QUIET_MLFLOW, **IMPATIENT):
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
    with filelock.lock(workspace.aliases_lock(name)):
        now, theirs = champion.recorded(workspace, name), _aliases(destination, name)
        known = told.read(workspace, name, destination.uri) or {}
        for alias, one in (("champion", now.champion), ("challenger", now.challenger)):
            version = _registered(destination, name, one) if one else ""
            if one and not version:
                problems.append(f"{name}@{one.version} is not registered in MLflow, which cannot call it {alias}")
                continue
            _set(destination, name, alias, theirs.get(alias, ""), version)
            known = {**known, alias: one.version} if one else {key: known[key] for key in known if key != alias}
        told.write(workspace, name, destination.uri, known)
    return problems


def _set(destination: Destination, name: str, alias: str, before: str, after: str) -> None:
    if after and after != before:
        destination.client.set_registered_model_alias(name, alias, after)
    elif before and not after:
        destination.client.delete_registered_model_alias(name, alias)


def _registered(destination: Destination, name: str, one: Champion) -> str:
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
    parser = argparse.ArgumentParser(prog="python -m pipeline.tracking.aliases")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--uri", required=True)
    options = parser.parse_args(arguments)
    return process.code(options.uri, partial(_tell_all, Workspace(options.workspace), options.uri))


def _tell_all(workspace: Workspace, uri: str) -> None:
    destination = Destination(uri, workspace)
    for name in messenger.behind(workspace, uri):
        with asking(destination):
            problems = tell(destination, workspace, name)
        print(*problems, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    process.end(main())
