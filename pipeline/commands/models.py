"""`keraspipe models`: the catalogue."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.commands._common import add_json
from pipeline.console import align_columns
from pipeline.errors import PipelineError
from pipeline.recipes import catalog, recorded_result
from pipeline.store import champions

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from pathlib import Path

    from pipeline.settings import Settings

TABLE_HEAD = ("recipe", "live", "task", "data", "result", "minutes")


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Lists the recipes; one that cannot be read is named on stderr and the others are listed."""
    rows = []
    for name, path in catalog.recipe_paths(settings).items():
        try:
            rows.append(describe_recipe(name, path, settings))
        except PipelineError as error:
            print(f"keraspipe: {error}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print("\n".join(format_table(rows)))
    return 0


def describe_recipe(name: str, path: Path, settings: Settings) -> dict[str, Any]:
    """Returns a recipe's entry of the catalogue, and its live version."""
    entry, heading = champions.current_entry(settings.workspace, name), catalog.read_heading(path)
    result = recorded_result.read_result(heading)
    return {
        "name": name,
        "title": heading.title,
        "task": heading.task,
        "data": heading.data,
        "reached": asdict(result) if result else None,
        "path": str(path),
        "live_version": entry.aliases.get("champion"),
        "challenger_version": entry.aliases.get("challenger"),
        "quick_version": entry.quick.version if entry.quick else None,
    }


def format_table(rows: list[dict[str, Any]]) -> list[str]:
    """An aligned table."""
    return align_columns([TABLE_HEAD, *map(_cells, rows)])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    record, challenger, quick = row["reached"], row["challenger_version"], row["quick_version"]
    result = (f"{record['metric']} {record['value']:.4g}", f"{record['minutes']:.1f}") if record else ("-", "-")
    live = f"v{row['live_version']}" if row["live_version"] else f"- (v{quick} quick)" if quick else "-"
    live += f" / v{challenger}" if challenger else ""
    return row["name"], live, row["task"], row["data"], *result
