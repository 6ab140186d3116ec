"""Transform of a wide table: seconds of the step, and peak memory of `new` and of the run until there.

    python -m benchmarks.wide_table [--columns N] [--rows N] [--texts N]

`keraspipe new` writes the recipe. Four fifths of the columns are numbers, one fifth are names of one in four kinds.
`--texts` adds columns of free text; more than two share one vocabulary.
The peak is that of the larger of both commands, with Python and TensorFlow; it should not grow with the rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
from typing import TYPE_CHECKING

from benchmarks.measure import Row, fresh, in_turns, keraspipe, module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPEAT = 1
AT_MOST = 120.0  # seconds
MEMORY_AT_MOST = 1.1
COLUMNS, ROWS = 2000, 10_000
NAMES_SHARE = 5  # each column of this number is one of names
WORDS = ("leaf", "bark", "old", "wet", "tall", "dry", "root", "moss", "stem", "seed")
TEXT_WORDS = 8


def measure(repeat: int) -> list[Row]:
    """Measures the seconds, and the peak memory in MiB next to that of half the rows, alternating."""
    found: list[dict[str, float]] = []

    def peak(rows: int) -> float:
        arguments = ("--columns", str(COLUMNS), "--rows", str(rows), "--json")
        found.append(json.loads(module("benchmarks.wide_table", *arguments)[1]))
        return found[-1]["peak_mib"]

    memory = in_turns(repeat, lambda: peak(ROWS), lambda: peak(ROWS // 2))
    seconds = [one["transform_s"] for one in found if one["rows"] == ROWS]
    size = f"{COLUMNS:,} columns, {ROWS:,} rows"
    return [
        Row(f"transform of {size}", "s", seconds, at_most=AT_MOST, details={"whole": found[0]}),
        Row(
            f"peak memory of new and run until transform, {size}; half the rows", "MiB", *memory, at_most=MEMORY_AT_MOST
        ),
    ]


def main() -> None:
    """Measures one table, and prints its seconds and its peak memory."""
    parser = argparse.ArgumentParser(description="Measure Transform of a wide table.")
    parser.add_argument("--columns", type=int, default=COLUMNS, help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=ROWS, help="default: %(default)s")
    parser.add_argument("--texts", type=int, default=0, help="columns of free text besides; default: none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = _run(options.columns, options.texts, options.rows)
    print(json.dumps(found) if options.json else "\n".join(f"{name}  {value:,}" for name, value in found.items()))


def _run(columns: int, texts: int, rows: int) -> dict[str, float]:
    with fresh() as folder:
        path, recipes = folder / "wide.csv", folder / "recipes"
        write_table(path, columns, texts, rows)
        new_s = keraspipe(folder, "new", "wide", "--data", str(path), "--target", "kind", recipes=recipes)[0]
        run_s, printed = keraspipe(folder, "run", "wide", "--until", "transform", "--json", recipes=recipes)
    seconds = {step["name"]: step["seconds"] for step in json.loads(printed)["steps"]}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # kilobytes on Linux
    size = {"columns": columns, "texts": texts, "rows": rows}
    spent = {"new_s": new_s, "run_s": run_s, **{f"{name}_s": value for name, value in seconds.items()}}
    return size | {name: round(value, 1) for name, value in spent.items()} | {"peak_mib": round(peak)}


def write_table(path: Path, columns: int, texts: int, rows: int) -> None:
    """Writes a table with a target of two classes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"c{place}" for place in range(columns)), *(f"t{place}" for place in range(texts)), "kind"])
        writer.writerows(_draw_rows(columns, texts, rows))


def _draw_rows(columns: int, texts: int, rows: int) -> Iterator[list[str]]:
    drawn = random.Random(1)
    for _ in range(rows):
        cells = [
            drawn.choice("abcd") if place % NAMES_SHARE == 0 else f"{drawn.random():.3f}" for place in range(columns)
        ]
        yield [
            *cells,
            *(" ".join(drawn.choices(WORDS, k=TEXT_WORDS)) for _ in range(texts)),
            drawn.choice(("no", "yes")),
        ]


if __name__ == "__main__":
    main()
