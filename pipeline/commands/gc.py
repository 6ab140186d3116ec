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
    parser.add_argument("--days", type=float, default=30.0, metavar="N", help="keep what is newer (default: 30)")
    parser.add_argument("--delete", action="store_true", help="remove it; without this nothing is removed")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Lists what is not needed, and removes it if asked to."""
    if not options.days >= 0:
        raise UsageError("The age is no number of days.", expected="--days of at least 0", received=options.days)
    home = settings.workspace
    found = (
        retention.remove_garbage(home, options.days) if options.delete else retention.find_garbage(home, options.days)
    )
    print(json.dumps(described(found, home, deleted=options.delete)) if options.json else text(found, home, options))
    return 0


def described(found: list[Garbage], workspace: Workspace, *, deleted: bool) -> dict[str, Any]:
    """The object of `--json`: {deleted, bytes, garbage: [{path, what, bytes, days}]}."""
    rows = [{"path": _inside(one, workspace), "what": one.what, "bytes": one.size, "days": one.days} for one in found]
    return {"deleted": deleted, "bytes": sum(one.size for one in found), "garbage": rows}


def text(found: list[Garbage], workspace: Workspace, options: Namespace) -> str:
    """What a person reads."""
    total = f"{sum(one.size for one in found) / MIB:.1f} MiB"
    if not found:
        return f"Nothing to free: all is live, has an alias, or is newer than {options.days:g} days."
    if options.delete:
        return f"Freed {total}: {len(found)} folders."
    rows = [(f"{one.size / MIB:.1f} MiB", one.what, _inside(one, workspace), f"{one.days:.0f} days") for one in found]
    return "\n".join([*align_columns(rows), f"{total} in all. Next: keraspipe gc --days {options.days:g} --delete"])


def _inside(one: Garbage, workspace: Workspace) -> str:
    return workspace.relative(one.path)
