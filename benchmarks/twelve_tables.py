"""What `keraspipe new` and `keraspipe run` reach on twelve public tables, next to histogram gradient boosting.

    python -m benchmarks.twelve_tables [--keep] [NAME …]

Each table is written as CSV; `new` writes its recipe with all defaults, `run` trains and evaluates it, and its step
`baseline` fits scikit-learn's models on the same training rows and measures them on the same test rows. The ratio is
that of the errors where less is better, and of the scores otherwise; the last column says "ahead" where the network is
better, and "within 5 %" where it is as near as that. `--keep` writes what was measured into twelve_tables.md, next to
the rows that are there. Needs no network; adult, titanic, pollution and the two tables of
ADBench are read from KERASPIPE_DATA (the README says where they come from).
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import fresh, keraspipe
from benchmarks.tables import TABLES, write_table
from pipeline.baseline.models import TREES
from pipeline.console import align_columns, format_number

if TYPE_CHECKING:
    from collections.abc import Iterable

NEAR = 0.05
REFUSED = 3  # the gate's answer is no matter here
LOWER = {"mae", "mse", "loss"}
RESULTS = Path(__file__).with_suffix(".md")
HEAD = ("table", "metric", "network", TREES, "linear or logistic", "ratio", "")


@dataclass(frozen=True)
class Outcome:
    """The results on one table.

    Attributes:
        table: Its name.
        metric: The metric of its gate.
        network: The network's value.
        others: The standard models' values by name.
        seconds: Of `keraspipe run`.
    """

    table: str
    metric: str
    network: float
    others: dict[str, float]
    seconds: float

    @property
    def ratio(self) -> float:
        """The network's value in terms of gradient boosting's."""
        return self.network / self.others[TREES]

    @property
    def words(self) -> str:
        """Where the network stands."""
        better = 1 - self.ratio if self.metric in LOWER else self.ratio - 1
        return "ahead" if better >= 0 else "within 5 %" if better >= -NEAR else "behind"

    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        simple = next((value for name, value in self.others.items() if name != TREES), None)
        numbers = (self.network, self.others[TREES], simple, self.ratio)
        return (self.table, self.metric, *map(format_number, numbers), self.words)


def measure_table(name: str, data: Path) -> Outcome:
    """Runs `new` and `run` on one table in an empty workspace."""
    table = TABLES[name]
    with fresh() as folder:
        write_table(name, data, folder / f"{name}.csv")
        options = ("--data", str(folder / f"{name}.csv"), "--target", table.target, "--task", table.task)
        keraspipe(folder / "workspace", "new", name, *options, "--out", str(folder))
        arguments = ("run", name, "--json", "--until", "gate")
        seconds, answer = keraspipe(folder / "workspace", *arguments, codes=(0, REFUSED), recipes=folder)
    return read_outcome(name, json.loads(answer), seconds)


def read_outcome(name: str, result: dict[str, Any], seconds: float) -> Outcome:
    """Reads the result of a run.

    Args:
        name: The table.
        result: What `run --json` prints.
        seconds: Of the run.
    """
    metric = result["baselines"]["metric"]
    others = {model["name"]: model["metrics"][metric] for model in result["baselines"]["models"]}
    return Outcome(name, metric, result["metrics"][metric], others, seconds)


def keep_rows(rows: Iterable[tuple[str, ...]], path: Path = RESULTS) -> None:
    """Writes rows into the table of a page, in place of earlier ones of the same tables.

    Args:
        rows: As `Outcome.row` gives them.
        path: The page.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    by_name = {row[0]: row for row in [*cells, *rows] if row[0] in TABLES}
    ordered = [by_name[name] for name in TABLES if name in by_name]
    table = [HEAD, ("---",) * len(HEAD), *ordered]
    near = sum(row[-1] != "behind" for row in ordered)
    text = [
        "# Twelve public tables",
        "",
        "`python -m benchmarks.twelve_tables --keep`: what `keraspipe new` and `run` reach with all defaults, next",
        f"to scikit-learn's models on the same rows. {near} of {len(ordered)} within 5 % of {TREES}, or ahead.",
        "",
        *(f"| {' | '.join(row)} |" for row in table),
    ]
    path.write_text("\n".join(text) + "\n")


def main() -> None:
    """Prints one line for each table as it is measured, and then the whole table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twelve_tables", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(TABLES)}")
    parser.add_argument("--keep", action="store_true", help=f"write the results to {RESULTS.name}")
    options, outcomes = parser.parse_args(), []
    data = Path(os.environ.get("KERASPIPE_DATA", "data")).absolute()
    for name in options.names or TABLES:
        outcomes.append(measure_table(name, data))
        print("  ".join(outcomes[-1].row()), f" {outcomes[-1].seconds:.0f} s", flush=True)
        if options.keep:
            keep_rows([outcomes[-1].row()])
    print("\n".join(["", *align_columns([HEAD, *(outcome.row() for outcome in outcomes)])]))
    near = sum(outcome.words != "behind" for outcome in outcomes)
    print(f"\n{near} of {len(outcomes)} within 5 % of {TREES}, or ahead")


if __name__ == "__main__":
    main()
