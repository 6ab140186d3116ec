"""What `keraspipe new` and `keraspipe run` reach on twelve public tables, next to histogram gradient boosting.

    python -m benchmarks.twelve_tables [NAME …]

Each table is written as CSV; `new` writes its recipe with all defaults, `run` trains and evaluates it, and its step
`baseline` fits scikit-learn's models on the same training rows and measures them on the same test rows. The ratio is
that of the errors where less is better, and of the scores otherwise; the last column says "ahead" where the network is
better, and "within 5 %" where it is as near as that. Needs no network; adult, titanic, pollution and the two tables of
ADBench are read from KERASPIPE_DATA (the README says where they come from).
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import fresh, keraspipe
from benchmarks.tables import TABLES, write_table
from pipeline.baseline.models import TREES
from pipeline.console import align_columns, format_number

NEAR = 0.05
REFUSED = 3  # the gate's answer is no matter here
LOWER = {"mae", "mse", "loss"}
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


def main() -> None:
    """Prints one line for each table as it is measured, and then the whole table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twelve_tables", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(TABLES)}")
    data = Path(os.environ.get("KERASPIPE_DATA", "data")).absolute()
    outcomes = []
    for name in parser.parse_args().names or TABLES:
        outcomes.append(measure_table(name, data))
        print("  ".join(outcomes[-1].row()), f" {outcomes[-1].seconds:.0f} s", flush=True)
    print("\n".join(["", *align_columns([HEAD, *(outcome.row() for outcome in outcomes)])]))
    near = sum(outcome.words != "behind" for outcome in outcomes)
    print(f"\n{near} of {len(outcomes)} within 5 % of {TREES}, or ahead")


if __name__ == "__main__":
    main()
