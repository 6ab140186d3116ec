"""Peak memory of the step ingest: a large table, compared with a tenth of its rows.

Ingest reads, checks, splits and writes row by row, so that the peak must not depend on the number of rows. The number
is the peak of the whole process, including Python and TensorFlow. Inputs: a CSV file of 1 GiB, and a generator of two
million rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, fresh, in_turns, module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPEAT = 1
AT_MOST = 1.1
CSV_ROWS = 1_000_000
TEXT_CHARACTERS = 1050
GENERATED_ROWS = 2_000_000
SMALLER = 10
COLUMNS = {"number": "float", "count": "int", "text": "bytes"}


def measure(repeat: int) -> list[Row]:
    """Measures peak resident memory in MiB for both sizes, alternating, of a file and of a generator."""
    return [_row("csv", CSV_ROWS, repeat), _row("generator", GENERATED_ROWS, repeat)]


def _row(source: str, rows: int, repeat: int) -> Row:
    details: dict[str, dict[str, float]] = {}

    def peak(size: int) -> float:
        found = json.loads(module("benchmarks.ingest_memory", source, str(size))[1])
        details[f"{size} rows"] = found
        return float(found["peak_mib"])

    pair = in_turns(repeat, lambda: peak(rows), lambda: peak(rows // SMALLER))
    name = f"memory of ingest, {source} of {rows:,} rows; a tenth of them"
    return Row(name, "MiB", *pair, at_most=AT_MOST, details=details)


def rows_of(count: int) -> Iterator[dict[str, Any]]:
    """Yields rows that all differ, with a text of a kilobyte."""
    text = "x" * TEXT_CHARACTERS
    for i in range(count):
        yield {"number": i / 7, "count": i, "text": text, "label": "ab"[i % 2]}


def main() -> None:
    """Ingests one table in this process, and prints its peak memory and its seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", choices=("csv", "generator"))
    parser.add_argument("rows", type=int)
    options = parser.parse_args()
    with fresh() as folder:
        data = _csv(folder, options.rows) if options.source == "csv" else _generator(options.rows)
        counts, seconds = _ingested(data, folder)
    assert sum(counts.values()) == options.rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    print(json.dumps({"peak_mib": round(peak, 1), "seconds": round(seconds, 1)}))


def _csv(folder: Path, count: int) -> Any:
    import csv

    from pipeline.formats.csv import Csv

    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "label"])
        writer.writeheader()
        writer.writerows(rows_of(count))
    return Csv(str(folder / "table.csv"), COLUMNS, "label", ("a", "b"))


def _generator(count: int) -> Any:
    from pipeline.formats.generator import Generator

    def short(_: Path) -> Iterator[dict[str, Any]]:
        return ({**row, "text": "short"} for row in rows_of(count))

    return Generator(short, COLUMNS, "label", ("a", "b"))


def _ingested(data: Any, folder: Path) -> tuple[dict[str, int], float]:
    from pipeline.recipe import Recipe
    from pipeline.steps.ingest import ingest

    recipe = Recipe(data=data, params=None, preprocess=lambda inputs, _: inputs, build=lambda _p, _spec: None)
    started = time.monotonic()
    report = ingest(recipe, folder, folder / "out", quick=False)
    return report.rows, time.monotonic() - started


if __name__ == "__main__":
    main()
