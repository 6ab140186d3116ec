"""`keraspipe models`: the catalogue."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pipeline import catalogue, champion
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from pipeline.settings import Settings


def command(options: Namespace, settings: Settings) -> int:
    """Lists the recipes; one that cannot be read is named on stderr and the others are listed."""
    rows = []
    for name, path in catalogue.paths(settings).items():
        try:
            rows.append(row(name, path, settings))
        except PipelineError as error:
            print(f"keraspipe: {error}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print("\n".join(lines(rows)))
    return 0


def row(name: str, path: Path, settings: Settings) -> dict[str, Any]:
    """What the catalogue says of a recipe."""
    live = champion.read(settings.workspace, name)
    title = catalogue.read(path).title
    return {"name": name, "title": title, "path": str(path), "live_version": live.version if live else None}


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """An aligned table."""
    width = max((len(row["name"]) for row in rows), default=0)
    return [
        f"{row['name']:<{width}}  {'v' + str(row['live_version']) if row['live_version'] else '-':>4}  {row['title']}"
        for row in rows
    ]
