"""Options that several commands have.

Where a recipe's versions stand now: what `promote`, `rollback` and `challenger` print, and every run repairs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.registry import serving_config
from pipeline.tracking import alias_sync

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pipeline.registry.promotion import AliasChange
    from pipeline.settings import Settings


def add_json(parser: ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def repaired(settings: Settings) -> None:
    """Finishes what a killed command has left: what servers read, and what MLflow is to be told; waits for neither."""
    serving_config.write_config(settings.workspace)
    if alias_sync.behind(settings.workspace, settings.mlflow_uri):
        alias_sync.send(settings.workspace, settings.mlflow_uri)


def changed(change: AliasChange, settings: Settings, *, as_json: bool) -> int:
    """Has servers and MLflow follow, and prints what has changed."""
    repaired(settings)
    print(json.dumps(change.as_json()) if as_json else text(change))
    return 0


def text(change: AliasChange) -> str:
    """One line for a person."""
    found = change.as_json()
    parts = [
        f"champion {_version(found['champion'], change.before.aliases.get('champion'))}",
        f"challenger {_version(found['challenger'], change.before.aliases.get('challenger'))}",
    ]
    if found["before"]:
        parts.append(f"a rollback leads to version {found['before'][-1]}")
    return f"{change.name}: " + ", ".join(parts)


def _version(now: int | None, before: int | None) -> str:
    shown = f"version {now}" if now else "none"
    return shown if now == before else f"{shown} (was {before or 'none'})"
