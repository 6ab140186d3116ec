"""The results: the machine, the file that stores them, and the table."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline import host

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.measure import Row

PATH = Path(__file__).with_name("results.json")
VERSIONS = ("tfx", "tensorflow", "keras", "mlflow", "apache-beam")
COLUMNS = ("name", "ours", "theirs", "ratio", "target", "met")


def facts() -> dict[str, Any]:
    """Returns the facts of the machine and the versions that the speeds depend on."""
    installed = host.installed_packages()
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(host.memory_bytes() / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: installed.get(name, "absent") for name in VERSIONS},
    }


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def as_json(row: Row) -> dict[str, Any]:
    """Returns a row with its medians, as results.json stores it."""
    medians = {
        side: median(values) if values else None for side, values in (("ours", row.ours), ("theirs", row.theirs))
    }
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        **asdict(row),
        "repeats": {"ours": row.ours, "theirs": row.theirs},
        **medians,
        "ratio": row.ratio,
        "reached": row.reached,
        "measured": now,
    }


def kept(rows: list[dict[str, Any]], path: Path = PATH) -> dict[str, Any]:
    """Writes new rows and the earlier rows of the same machine to results.json, and returns all."""
    found = read(path)
    old = found["rows"] if found.get("machine") == facts() else []
    new = [row for row in rows if row["ours"] is not None]
    names = {row["name"] for row in new}
    results = {"machine": facts(), "rows": [*(row for row in old if row["name"] not in names), *new]}
    path.write_text(json.dumps(results, indent=2) + "\n")
    return results


def read(path: Path = PATH) -> dict[str, Any]:
    """Returns the stored results; no rows if there is no file."""
    return json.loads(path.read_text()) if path.exists() else {"rows": []}


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Returns the texts of a row, in the order of COLUMNS."""
    if row["ours"] is None:
        return (row["name"], "", "", "", _target(row), f"skipped: {row['note']}")
    ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
    reached = "yes" if row["reached"] else "no"
    return (row["name"], _number(row, "ours"), _number(row, "theirs"), ratio, _target(row), reached)


def _number(row: dict[str, Any], side: str) -> str:
    value = row[side]
    digits = 0 if value is None or value >= 1000 else 1 if value >= 10 else 2  # noqa: PLR2004
    return "" if value is None else f"{value:,.{digits}f} {row['unit']}"


def _target(row: dict[str, Any]) -> str:
    unit = "" if row["theirs"] is not None or row["at_least"] else f" {row['unit']}".rstrip()
    return f"at least {row['at_least']:g}" if row["at_least"] else f"at most {row['at_most']:g}{unit}"


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Returns a table with aligned columns, for a terminal."""
    lines = [COLUMNS, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def markdown(rows: Iterable[dict[str, Any]]) -> str:
    """Returns a Markdown table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
