"""What `promote`, `rollback` and `challenger` have in common: they say where a recipe's versions stand now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.tracking import messenger

if TYPE_CHECKING:
    from pipeline.promotion import Change
    from pipeline.settings import Settings


def changed(change: Change, settings: Settings, *, as_json: bool) -> int:
    """Has MLflow told, without waiting for it, and prints what has changed."""
    if messenger.behind(settings.workspace, settings.mlflow_uri):
        messenger.send(settings.workspace, settings.mlflow_uri)
    print(json.dumps(change.as_json()) if as_json else text(change))
    return 0


def text(change: Change) -> str:
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
