"""Which aliases MLflow was last told: `WORKSPACE/aliases/NAME.json`, by which a change by hand is known there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import atomic

if TYPE_CHECKING:
    from pipeline.workspace import Workspace

Aliases = dict[str, int]  # VERSION by alias


def read(workspace: Workspace, name: str, uri: str) -> Aliases | None:
    """What this MLflow was told of a recipe; None if nothing is known of it."""
    kept = atomic.read_json(workspace.synced_aliases(name), {})
    return dict(kept["aliases"]) if kept.get("uri") == uri else None


def write(workspace: Workspace, name: str, uri: str, aliases: Aliases) -> None:
    """Keeps what this MLflow was told."""
    atomic.write_json(workspace.synced_aliases(name), {"uri": uri, "aliases": aliases})
