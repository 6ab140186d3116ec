"""Measures the speeds that the README states, and prints them with their targets.

    python -m benchmarks [NAME...] [--json | --markdown] [--repeat N] [--last]

Both sides of a ratio are measured in one run on one machine, alternating, each repeat in an empty workspace; a result
is the median of the repeats. Results are stored in benchmarks/results.json. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
from typing import Any

from benchmarks import results
from benchmarks.measure import Row, SkippedError, say

NAMES = (
    "light_commands",
    "digits_cold",
    "mnist_steps",
    "training_loop",
    "tracking_cost",
    "ingest_memory",
    "wide_table",
    "monitoring",
    "serving_rest",
    "serving_grpc",
    "serving_latency",
    "serving_bulk",
    "serving_start",
    "serving_chat",
)


def main() -> int:
    """Returns 0 if every measured row meets its target, else 1."""
    options = _options()
    rows = results.read()["rows"] if options.last else _measured(options)
    found = {"machine": results.facts(), "rows": rows} if not options.last else results.read()
    if options.json:
        print(json.dumps(found))
    else:
        print((results.markdown if options.markdown else results.table)(rows))
    return int(any(row["reached"] is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the speeds that the README states, and print them with their targets.",
        epilog="Example: python -m benchmarks light_commands",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"benchmarks (default: all): {', '.join(NAMES)}")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object, with every repeat and the machine")
    form.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--repeat", type=int, help="measurements of each side (default: set by each benchmark)")
    parser.add_argument("--last", action="store_true", help="print the stored results; measure nothing")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; expected some of {', '.join(NAMES)}")
    return options


def _measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in options.names or NAMES:
        say(name)
        rows += map(results.as_json, _rows(name, options.repeat))
        results.kept(rows)
    return rows


def _rows(name: str, repeat: int | None) -> list[Row]:
    benchmark = importlib.import_module(f"benchmarks.{name}")
    try:
        return benchmark.measure(repeat or benchmark.REPEAT)
    except SkippedError as reason:
        return [Row(name.replace("_", " "), unit="", at_most=getattr(benchmark, "AT_MOST", None), note=str(reason))]


if __name__ == "__main__":
    raise SystemExit(main())
