"""`keraspipe runs`: the runs of the workspace, or one of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.commands._common import add_json
from pipeline.console import format_number
from pipeline.errors import UsageError
from pipeline.runs import run
from pipeline.store import champions, fileio, journal

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings
    from pipeline.store.layout import RunFolder, Workspace


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run id; without it all runs are listed")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Lists runs, newest first, or shows one."""
    folders = sorted(settings.workspace.run_folders(), key=_start_time, reverse=True)
    by_id = {folder.run_id: folder for folder in folders}
    if options.run is None:
        rows = [describe_run(folder) for folder in folders]
        print(json.dumps(rows) if options.json else "\n".join(map(format_line, rows)) or "No runs yet.")
        return 0
    if options.run not in by_id:
        raise UsageError(
            f"There is no run {options.run!r} in {settings.workspace}.",
            expected="a run id from `keraspipe runs`",
            received=options.run,
            action=errors.did_you_mean(options.run, by_id) or "list them with: keraspipe runs",
        )
    row = describe_run(by_id[options.run])
    print(json.dumps(row) if options.json else format_run(row, by_id[options.run]))
    return 0


def format_run(row: dict[str, Any], folder: RunFolder) -> str:
    """Formats one run as text: its line and the gate's page, or its record as JSON if it has no page."""
    page = folder.gate_page
    return f"{format_line(row)}\n\n{page.read_text()}".rstrip() if page.exists() else json.dumps(row, indent=1)


def _start_time(folder: RunFolder) -> float:
    first = next(journal.iter_events(folder.journal), None)
    return float(first[0]["time"]) if first else 0.0


def describe_run(folder: RunFolder) -> dict[str, Any]:
    """A run's result with its state: running, interrupted, failed, not_blessed or finished."""
    result = fileio.read_json(folder.result, {"run_id": folder.run_id, "metrics": {}})
    ends = [event for event, _ in journal.iter_events(folder.journal) if event["event"] == "end"]
    over = ends[-1]["status"] if ends else "interrupted"
    state = "running" if run.is_running(folder.workspace, folder.run_id) else over
    fields = {"state": state, "message": ends[-1]["message"] if ends else "", **result}
    return {**fields, "alias": find_alias(folder.workspace, result)}


def find_alias(workspace: Workspace, result: dict[str, Any]) -> str | None:
    """Returns the alias of a run's version: "champion", "challenger", or None."""
    aliases = (
        champions.current_entry(workspace, str(result.get("recipe", ""))).aliases if result.get("model_version") else {}
    )
    return next((name for name, version in aliases.items() if version == result["model_version"]), None)


def format_line(row: dict[str, Any]) -> str:
    """One run in one line."""
    numbers = "  ".join(f"{name} {format_number(value)}" for name, value in row["metrics"].items())
    version = f"v{row['model_version']}" if row.get("model_version") else ""
    alias = f"  {row['alias']}" if row.get("alias") == "challenger" else "  quick" if row.get("quick") else ""
    return f"{row['run_id']:<34}  {row['state']:<11}  {version:<4}  {numbers}{alias}".rstrip()
