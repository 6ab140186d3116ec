"""The training split of a run: where it lies, a sample of it, and the frame that is drawn from that.

One half of the sample draws the cells, the other half is counted in them. What is merely new to the cells, such as a
rare word, so counts alike in the training data and in requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline import atomic
from pipeline.monitoring import feature
from pipeline.monitoring.fitting import Fitting
from pipeline.monitoring.frame import Frame
from pipeline.monitoring.profile import Profile, counted
from pipeline.monitoring.rows import Rows, example_type
from serving.requestlog import tfrecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.monitoring.feature import Feature

LIGHT_ROWS = 50_000  # of numbers and categories that are looked at, at most
HEAVY_ROWS = 10_000  # of images, recordings and texts
PEEK = 500  # rows that say what kind a feature is
BATCH = 1000
BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Sample:
    """Some rows of a split, named by their numbers.

    Attributes:
        folder: The split, with TFRecords of `tf.train.Example`.
        chosen: For each row of the split: 0 left out, 1 the first half, 2 the second one.
    """

    folder: Path
    chosen: np.ndarray

    def batches(self, *halves: int) -> Iterator[Rows]:
        """The rows of the given halves, in parts."""
        parse, rows, size = example_type().FromString, Rows(), 0
        for half, record in zip(self.chosen, _records(self.folder), strict=False):
            if half in halves:
                rows.add_example(parse(record))
                size += len(record)
            if size > BATCH_BYTES or rows.count == BATCH:
                yield rows
                rows, size = Rows(), 0
        if rows.count:
            yield rows


def _records(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.tfrecord*")):
        with path.open("rb") as file:
            yield from tfrecord.records(file)


def chosen(rows: int, limit: int) -> np.ndarray:
    """A sample of at most `limit` rows, in two halves of chance: 0, 1 or 2 for each row; the same each time."""
    order = np.random.default_rng(0).permutation(rows)
    kept = min(limit, rows)
    halves = np.zeros(rows, np.int8)
    halves[order[: kept // 2]], halves[order[kept // 2 : kept]] = 1, 2
    return halves


def drawn(examples: Path) -> Frame:
    """The frame of an ingest's training split.

    Args:
        examples: The artifact's folder, with `Split-train` and `report.json`.
    """
    total = rows_of(examples)
    split = examples / "Split-train"
    roles = _roles(Sample(split, chosen(total, PEEK)))
    sample = Sample(split, chosen(total, limit(roles.values())))
    fittings = [Fitting(name, role) for name, role in roles.items()]
    for rows in sample.batches(1):
        for fitting in fittings:
            fitting.add(rows.columns.get(fitting.name, [None] * rows.count))
    features = tuple(fitting.feature() for fitting in fittings)
    return Frame(features, profile(examples, features), total)


def rows_of(examples: Path) -> int:
    """How many rows the training split has."""
    return int(atomic.read_json(examples / "report.json")["rows"]["train"])


def limit(roles: Iterable[str]) -> int:
    """How many rows are looked at, for features of these kinds."""
    return HEAVY_ROWS if set(roles) & set(feature.HEAVY) else LIGHT_ROWS


def profile(examples: Path, features: tuple[Feature, ...]) -> Profile:
    """What the second half of a sample of a training split counts."""
    sample = Sample(examples / "Split-train", chosen(rows_of(examples), limit(one.role for one in features)))
    return sum((counted(features, rows) for rows in sample.batches(2)), Profile())


def _roles(peek: Sample) -> dict[str, str]:
    columns: dict[str, list[object]] = {}
    for rows in peek.batches(1, 2):
        for name, values in rows.columns.items():
            columns.setdefault(name, []).extend(values)
    found = {name: feature.role_of(values) for name, values in sorted(columns.items())}
    return {name: role for name, role in found.items() if role}
