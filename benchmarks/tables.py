"""Twelve public tables that need no network: of scikit-learn, of TFX, and of the folder of data sets."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_DOLLARS = 200.0  # one fare above is an error of the meter, see pipeline/datasets/taxi.py


@dataclass(frozen=True)
class Table:
    """A table and its target.

    Attributes:
        read: (data folder) -> header and rows.
        target: Name of the column.
        task: "classification" or "regression".
    """

    read: Callable[[Path], tuple[list[str], Iterable[list[Any]]]]
    target: str
    task: str = "classification"


def _of_scikit_learn(name: str) -> Callable[[Path], tuple[list[str], Iterable[list[Any]]]]:
    def read(_: Path) -> tuple[list[str], Iterable[list[Any]]]:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        names = [str(column) for column in bunch.feature_names]
        values = zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)
        return [*names, "target"], [[*row, target] for row, target in values]

    return read


def _package_file(package: str, path: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / path


def _read_csv(path: Path, drop: tuple[str, ...] = (), skip: int = 0) -> tuple[list[str], list[list[str]]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        head, *rows = list(csv.reader(file))[skip:]
    kept = [place for place, name in enumerate(head) if name not in drop]
    return [head[place] for place in kept], [[row[place] for place in kept] for row in rows if len(row) == len(head)]


def _boston(_: Path) -> tuple[list[str], Iterable[list[Any]]]:
    return _read_csv(_package_file("sklearn", "datasets/data/boston_house_prices.csv"), skip=1)


def _taxi(_: Path) -> tuple[list[str], Iterable[list[Any]]]:
    late = ("trip_miles", "trip_seconds", "tips", "payment_type", "trip_start_timestamp")
    path = _package_file("tfx", "examples/chicago_taxi_pipeline/data/simple/data.csv")
    head, rows = _read_csv(path, (*late, "pickup_census_tract", "dropoff_census_tract"))
    fare = head.index("fare")
    return head, [row for row in rows if row[fare] and float(row[fare]) < MOST_DOLLARS]


def _adult(data: Path) -> tuple[list[str], Iterable[list[Any]]]:
    return _read_csv(data / "adult" / "adult_train.csv")


def _titanic(data: Path) -> tuple[list[str], Iterable[list[Any]]]:
    return _read_csv(data / "titanic" / "titanic.csv", ("alive", "class", "who", "adult_male", "alone", "embark_town"))


def _pollution(data: Path) -> tuple[list[str], Iterable[list[Any]]]:
    head, rows = _read_csv(data / "timeseries" / "pollution.csv", ("No", "year", "day"))
    target = head.index("pm2.5")
    return head, [row for row in rows if row[target] not in ("", "NA")]


def _anomalies(name: str) -> Callable[[Path], tuple[list[str], Iterable[list[Any]]]]:
    def read(data: Path) -> tuple[list[str], Iterable[list[Any]]]:
        arrays = np.load(data / "adbench" / f"{name}.npz")
        names = [f"x{place}" for place in range(arrays["X"].shape[1])]
        return [*names, "target"], [
            [*row, target] for row, target in zip(arrays["X"].tolist(), arrays["y"].tolist(), strict=True)
        ]

    return read


TABLES = {
    "iris": Table(_of_scikit_learn("iris"), "target"),
    "wine": Table(_of_scikit_learn("wine"), "target"),
    "breast_cancer": Table(_of_scikit_learn("breast_cancer"), "target"),
    "digits_table": Table(_of_scikit_learn("digits"), "target"),
    "titanic": Table(_titanic, "survived"),
    "adult_table": Table(_adult, "income"),
    "mammography": Table(_anomalies("23_mammography"), "target"),
    "shuttle": Table(_anomalies("32_shuttle"), "target"),
    "diabetes": Table(_of_scikit_learn("diabetes"), "target", "regression"),
    "boston": Table(_boston, "MEDV", "regression"),
    "taxi_fare": Table(_taxi, "fare", "regression"),
    "pollution_hours": Table(_pollution, "pm2.5", "regression"),
}


def write_table(name: str, data: Path, path: Path) -> None:
    """Writes a table as CSV."""
    head, rows = TABLES[name].read(data)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
