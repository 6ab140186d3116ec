"""Statistics of both sides of a canary: requests, failures and latencies.

The sides are the champion, the version that is live, and its challenger (`serving.core.models`).
"""

from __future__ import annotations

import json
import os
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from serving.errors import Code
from serving.metrics import series as families
from serving.metrics.exposition import merge_snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from serving.metrics.exposition import Snapshot

_SIDES = ("champion", "challenger")


def summarize_sides(snapshot: Snapshot, shares: Mapping[str, float]) -> dict[str, Any]:
    """What the sides have answered, by model.

    Returns:
        {model: {"share", "champion": side, "challenger": side}} with a side of `versions` (ascending), `requests`,
        `errors`, `p50_ms` and `p99_ms` (None before the first request). Times are upper bounds, exact to a fifth.
    """
    series = [(labels, value) for labels, value in snapshot.get(families.CANARY.name, ())]
    return {
        model: {"share": share}
        | {side: _summarize_side([entry for entry in series if entry[0][:2] == [model, side]]) for side in _SIDES}
        for model, share in shares.items()
    }


def _summarize_side(series: list[tuple[list[str], list[float]]]) -> dict[str, Any]:
    counts = [int(sum(bucket)) for bucket in zip(*(value[1:] for _, value in series), strict=True)]
    failed = sum(int(sum(value[1:])) for labels, value in series if labels[3] != Code.OK.name)
    return {
        "versions": sorted({int(labels[2]) for labels, _ in series}),
        "requests": sum(counts),
        "errors": failed,
        "p50_ms": _quantile(counts, 0.5),
        "p99_ms": _quantile(counts, 0.99),
    }


def _quantile(counts: list[int], share: float) -> float | None:
    """The upper bound of the bucket in which a quantile lies, in milliseconds; the last bucket has none of its own."""
    total = sum(counts)
    bounds = (*families.CANARY.bounds, families.CANARY.bounds[-1])
    upper_bounds = (bound for bound, seen in zip(bounds, accumulate(counts), strict=False) if seen >= share * total)
    return round(1e3 * next(upper_bounds), 3) if total else None


def write_report(snapshot: Snapshot, folder: Path) -> None:
    """Leaves a process's numbers in a folder, at its end."""
    numbers = {families.CANARY.name: snapshot.get(families.CANARY.name, [])}
    (folder / f"{os.getpid()}.json").write_text(json.dumps(numbers))


def read_report(folder: Path, shares: Mapping[str, float]) -> dict[str, Any]:
    """What all processes together have left in a folder; as `summarize_sides`."""
    return summarize_sides(
        merge_snapshots(json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))), shares
    )


def report_lines(summary: Mapping[str, Any]) -> list[str]:
    """Both sides of each model in words."""
    return [
        f"Canary {model}: {_side_text(model_sides[side], side)}"
        for model, model_sides in summary.items()
        for side in _SIDES
    ]


def _side_text(numbers: Mapping[str, Any], side: str) -> str:
    if not numbers["requests"]:
        return f"{side} no request"
    versions = ", ".join(map(str, numbers["versions"]))
    return (
        f"{side} version {versions}: {numbers['requests']} requests, {numbers['errors']} errors, "
        f"p50 {numbers['p50_ms']:.2f} ms, p99 {numbers['p99_ms']:.2f} ms"
    )
