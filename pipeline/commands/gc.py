"""`keraspipe gc`: frees what nobody needs any more, or says what it would free."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.commands._common import add_json
from pipeline.console import align_columns
from pipeline.errors import UsageError
from pipeline.runs import retention

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.runs.retention import Garbage
    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace

MIB = 1 << 20


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--days", type=float, default=30.0, metavar="N", help="keep everything that is newer (default: 30)"
    )
    parser.add_argument("--delete", action="store_true", help="delete; without this option the command only lists")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Lists what is not needed, and deletes it with `--delete`."""
    if not options.days >= 0:
        raise UsageError(
            "--days is not a number of days.",
            expected="--days of at least 0",
            received=options.days,
            action="correct --days",
        )
    home = settings.workspace
    garbage = (
        retention.remove_garbage(home, options.days) if options.delete else retention.find_garbage(home, options.days)
    )
    print(
        json.dumps(to_dict(garbage, home, deleted=options.delete))
        if options.json
        else format_text(garbage, home, options)
    )
    return 0


def to_dict(garbage: list[Garbage], workspace: Workspace, *, deleted: bool) -> dict[str, Any]:
    """The object of `--json`: {deleted, bytes, garbage: [{path, what, bytes, days}]}."""
    rows = [
        {"path": _relative_path(entry, workspace), "what": entry.what, "bytes": entry.size, "days": entry.days}
        for entry in garbage
    ]
    return {"deleted": deleted, "bytes": sum(entry.size for entry in garbage), "garbage": rows}


def format_text(garbage: list[Garbage], workspace: Workspace, options: Namespace) -> str:
    """Formats the list for the terminal."""
    total = f"{sum(entry.size for entry in garbage) / MIB:.1f} MiB"
    if not garbage:
        return f"Nothing to free: all is live, has an alias, or is newer than {options.days:g} days."
    if options.delete:
        return f"Freed {total}: {len(garbage)} folders."
    rows = [
        (f"{entry.size / MIB:.1f} MiB", entry.what, _relative_path(entry, workspace), f"{entry.days:.0f} days")
        for entry in garbage
    ]
    return "\n".join([*align_columns(rows), f"{total} in all. Next: keraspipe gc --days {options.days:g} --delete"])


def _relative_path(entry: Garbage, workspace: Workspace) -> str:
    return workspace.relative(entry.path)
