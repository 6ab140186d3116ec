"""Finds the damaged files of a workspace, and says what `pipeline.store.repair` does about each."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.errors import PipelineError
from pipeline.store import champions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.store.layout import Workspace

WHOLE_BYTES = 1 << 16  # up to this size a JSON file is parsed; of a larger one the ends are read
SET_ASIDE = "is set aside; the run's journal keeps its events"
REMADE = "is made again when it is needed"
REMEDIES = {  # by pattern; a later one is narrower
    "runs/*/*.json": SET_ASIDE,
    "profiles/*/*.json": SET_ASIDE,
    "schemas/*/*.json": SET_ASIDE,
    "runs/*/recorded.json": REMADE,
    "requests/*.json": REMADE,
    "data/*.json": REMADE,
    "aliases/*.json": REMADE,
    "runs/*/result.json": "is made again from the run's journal",
    "workspace.json": "is written again",
}


@dataclass(frozen=True)
class Damage:
    """A file that cannot be read.

    Attributes:
        path: The file.
        reason: What is wrong with it.
        remedy: What the repair does.
    """

    path: Path
    reason: str
    remedy: str


def find_damage(workspace: Workspace) -> list[Damage]:
    """Returns the damaged files of a workspace."""
    return [*_damaged_databases(workspace), *_damaged_records(workspace), *_damaged_json(workspace)]


def _damaged_databases(workspace: Workspace) -> Iterator[Damage]:
    remedies = {
        workspace.metadata_db: "begins anew; the next run computes its steps again, the journals keep the lineage",
        workspace.mlflow_db: "is filled again from the journals, without what was written there by hand",
    }
    for path, remedy in remedies.items():
        reason = _sqlite_problem(path) if path.exists() else ""
        if reason:
            yield Damage(path, reason, remedy)


def _sqlite_problem(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=5)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return "" if "locked" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if answer == "ok" else str(answer).splitlines()[0]


def _damaged_records(workspace: Workspace) -> Iterator[Damage]:
    for name in champions.recipe_names(workspace):
        try:
            champions.read_entry(workspace, name)
        except PipelineError as error:
            remedy = "is made again from the journals and the links of the servers"
            yield Damage(workspace.champion(name), _cause(error), remedy)


def _cause(error: PipelineError) -> str:
    lines = [line for line in str(error).splitlines() if line.startswith("Received: ")]
    return lines[0].removeprefix("Received: ") if lines else str(error)


def _damaged_json(workspace: Workspace) -> list[Damage]:
    remedies = {path: remedy for pattern, remedy in REMEDIES.items() for path in sorted(workspace.root.glob(pattern))}
    reasons = {path: json_problem(path) for path in remedies}
    return [Damage(path, reasons[path], remedy) for path, remedy in remedies.items() if reasons[path]]


def json_problem(path: Path) -> str:
    """Returns why a JSON file cannot be read; empty if it can, as far as a look at its ends tells for a large one."""
    try:
        if path.stat().st_size <= WHOLE_BYTES:
            json.loads(path.read_bytes())
            return ""
        with path.open("rb") as file:
            first, _ = file.read(1), file.seek(-64, 2)
            last = file.read().strip()[-1:]
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return str(error)
    return "" if (first, last) in {(b"{", b"}"), (b"[", b"]")} else "it is cut off"
