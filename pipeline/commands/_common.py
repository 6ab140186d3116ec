"""What several commands share: the option `--json`, and printing which versions are champion and challenger now.

The champion is the version that servers answer with, the challenger one that is served beside it. `repair` brings up to
date what servers read and what MLflow shows, also after a command that was killed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.store import champions, fileio

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pipeline.registry.promotion import AliasChange
    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace


def add_json(parser: ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def add_publication(parser: ArgumentParser) -> None:
    """`--quick` and `--challenger`: instead of replacing the champion."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--quick", action="store_true", help="run on a small sample for few epochs; the version is not served"
    )
    group.add_argument(
        "--challenger",
        dest="alias",
        action="store_const",
        const="challenger",
        default="champion",
        help="publish as the challenger, served next to the live version (the champion)",
    )


def repair(settings: Settings) -> None:
    """Finishes the work of a killed command: updates models.config, and sends MLflow's aliases without waiting."""
    from pipeline.registry import serving_config
    from pipeline.tracking import alias_sync

    serving_config.write_config(settings.workspace)
    if alias_sync.out_of_sync(settings.workspace, settings.mlflow_uri):
        alias_sync.spawn_alias_sync(settings.workspace, settings.mlflow_uri)


def describe_quick(workspace: Workspace, name: str) -> str:
    """Says that a recipe has a version of a --quick run only; empty without one."""
    quick = champions.current_entry(workspace, name).quick
    return f"{name}@{quick.version}, made by a --quick run and used by this number only" if quick else ""


def describe_unpublished(workspace: Workspace, name: str) -> tuple[str, str]:
    """Says what there is of a recipe without a champion (a live model), and what to do; both empty without a run."""
    if quick := describe_quick(workspace, name):
        return quick, f"run: keraspipe run {name}"
    newest = next(iter(reversed(workspace.run_folders(name))), None)
    if newest is None:
        return "", ""
    reasons = fileio.read_json(newest.evaluation, {}).get("gate", {}).get("reasons", [])
    if not reasons:
        return f"the run {newest.root.name}, which has not ended", f"run: keraspipe run {name}"
    received = f"the run {newest.root.name}, which did not pass the gate: {reasons[0]}"
    return received, f"see keraspipe runs {newest.root.name}; then change the data, the recipe or its gate"


def report_change(change: AliasChange, settings: Settings, *, as_json: bool) -> int:
    """Updates servers and MLflow, and prints the change."""
    repair(settings)
    print(json.dumps(change.as_json()) if as_json else format_change(change))
    return 0


def format_change(change: AliasChange) -> str:
    """Formats a change as one line."""
    fields = change.as_json()
    parts = [
        f"champion {_format_version(fields['champion'], change.before.aliases.get('champion'))}",
        f"challenger {_format_version(fields['challenger'], change.before.aliases.get('challenger'))}",
    ]
    if fields["before"]:
        parts.append(f"a rollback leads to version {fields['before'][-1]}")
    return f"{change.name}: " + ", ".join(parts)


def _format_version(now: int | None, before: int | None) -> str:
    text = f"version {now}" if now else "none"
    return text if now == before else f"{text} (was {before or 'none'})"
