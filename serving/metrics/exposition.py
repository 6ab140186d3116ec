"""All numbers at one moment as plain data: to send between processes, to add up, to print for Prometheus.

A snapshot maps a family's name to its series, each `[label values, value]`. The value is a number, or for a histogram
its sum followed by the count of each bucket. It survives JSON. The `process_*` numbers are taken here as well.
"""

from __future__ import annotations

import operator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from serving.metrics import series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serving.metrics.series import Family


Snapshot = dict[str, list[list[Any]]]
_FAMILIES = {family.name: family for family in series.ALL_FAMILIES}
_BOUNDS = {  # a page has thousands of these labels
    family.name: [f'le="{bound}"}} ' for bound in [*(f"{bound:g}" for bound in family.bounds), "+Inf"]]
    for family in series.ALL_FAMILIES
}
_RULES: dict[str, Callable[[float, float], float]] = {"sum": operator.add, "min": min, "max": max}


def merge_snapshots(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The numbers of several processes as one: counts add up, a start time is the earliest."""
    totals: dict[str, dict[tuple[str, ...], Any]] = {}
    for snapshot in snapshots:
        for name, rows in snapshot.items():
            known = totals.setdefault(name, {})
            for labels, value in rows:
                key = tuple(labels)
                known[key] = _merge_values(_FAMILIES[name], known[key], value) if key in known else value
    return {name: [[list(labels), value] for labels, value in known.items()] for name, known in totals.items()}


def _merge_values(family: Family, first: Any, second: Any) -> Any:
    if family.kind == "histogram":
        return [a + b for a, b in zip(first, second, strict=True)]
    return _RULES[family.merge](first, second)


def count_totals(snapshot: Snapshot) -> dict[str, int]:
    """Each counter's total over its labels, and each histogram's number of values, by name.

    Both names work: TensorFlow's with slashes, as `ReloadConfigRequest.metric_names` has it, and the page's.
    """
    totals = {}
    for family in series.ALL_FAMILIES:
        if family.kind != "gauge":
            total = int(sum(_count(value) for _, value in snapshot.get(family.name, ())))
            totals[family.name] = totals[family.page_name] = total
    return totals


def _count(value: Any) -> float:
    return sum(value[1:]) if isinstance(value, list) else value


def render_page(snapshot: Snapshot) -> bytes:
    """The page that Prometheus reads (text format 0.0.4): TensorFlow's metrics, then ours.

    TensorFlow's are written as its exporter does, series in braces even without labels, no `# HELP`.
    """
    lines: list[str] = []
    for family in series.ALL_FAMILIES:
        if family.help:
            lines.append(f"# HELP {family.page_name} {family.help}")
        lines.append(f"# TYPE {family.page_name} {family.kind}")
        for labels, value in sorted(snapshot.get(family.name, ()), key=lambda entry: entry[0]):
            lines += _family_lines(family, labels, value)
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _family_lines(family: Family, values: list[str], value: Any) -> list[str]:
    pairs = [f'{name}="{_escape(text)}"' for name, text in zip(family.labels, values, strict=True)]
    braces = f"{{{','.join(pairs)}}}" if pairs or not family.help else ""
    if family.kind != "histogram":
        return [f"{family.page_name}{braces} {_format_number(value)}"]
    return _histogram_lines(family, pairs, braces, value)


def _histogram_lines(family: Family, pairs: list[str], braces: str, value: list[float]) -> list[str]:
    total, *counts = value
    seen = list(accumulate(map(int, counts)))
    start = f"{family.page_name}_bucket{{{''.join(f'{pair},' for pair in pairs)}"
    return [
        *(f"{start}{bound}{count}" for bound, count in zip(_BOUNDS[family.name], seen, strict=True)),
        f"{family.page_name}_sum{braces} {_format_number(total)}",
        f"{family.page_name}_count{braces} {seen[-1]}",
    ]


def _format_number(value: float) -> str:
    """Whole numbers without a point; others with all their digits, where TensorFlow keeps six."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def process_snapshot() -> Snapshot:
    """The `process_*` series that every Prometheus client has; without those that the system does not report."""
    import psutil

    process = psutil.Process()
    memory, times = process.memory_info(), process.cpu_times()
    numbers = {
        series.MEMORY: memory.rss,
        series.VIRTUAL: memory.vms,
        series.PROCESSOR: times.user + times.system,
        series.STARTED: process.create_time(),
        **_file_counts(process),
    }
    return {metric.name: [[[], value]] for metric, value in numbers.items()}


def _file_counts(process: object) -> dict[series.Family, int]:
    try:
        limit = process.rlimit(7)[0]  # type: ignore[attr-defined]  # RLIMIT_NOFILE on Linux
        return {series.FILES: process.num_fds(), series.MAX_FILES: limit}  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # not on every system
        return {}
