"""The raw rows of a split as columns, read from TFRecords; of a large training split an even sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import predictions
from pipeline.features import types
from pipeline.formats import tfrecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Example

    Columns = Mapping[str, np.ndarray]

BATCH_ROWS = 1024
TRAIN_ROWS = 50_000
TRAIN_BYTES = 64 << 20  # of the serialized rows


@dataclass(frozen=True)
class Splits:
    """The raw features that baselines learn from and are measured on, as `Recipe.score` gets them.

    Attributes:
        train: The training split or an even sample of it, {name: array (rows, …)}.
        test: The whole test split.
        rows: Rows of the whole training split.
    """

    train: Columns
    test: Columns
    rows: int

    @property
    def fitted_rows(self) -> int:
        """Rows that are used of the training split."""
        return len(next(iter(self.train.values()), ()))


def read_splits(folder: Path, kinds: Mapping[str, str]) -> Splits:
    """Reads the splits that the step `ingest` wrote.

    Args:
        folder: Folder of the splits.
        kinds: Kind of each raw input; the other features are single values or vectors, as they are stored.
    """
    train, test = folder / "Split-train", folder / "Split-test"
    rows, size = _count_rows(train)
    step = max(-(-rows // TRAIN_ROWS), -(-size // TRAIN_BYTES), 1)
    return Splits(read_columns(train, kinds, step), read_columns(test, kinds), rows)


def _count_rows(folder: Path) -> tuple[int, int]:
    """Returns the records of a folder and their bytes, without parsing them."""
    batches = [(len(batch), sum(map(len, batch))) for batch in predictions.read_batches(folder, BATCH_ROWS)]
    return sum(rows for rows, _ in batches), sum(size for _, size in batches)


def read_columns(folder: Path, kinds: Mapping[str, str], step: int = 1) -> dict[str, np.ndarray]:
    """Returns every `step`-th row of a split as arrays by name; missing values are as in `preprocess`.

    Args:
        folder: Folder of TFRecords of `tf.train.Example`.
        kinds: Kind of each raw input.
        step: 1 for all rows.
    """
    import tensorflow as tf

    parts: list[dict[str, np.ndarray]] = []
    specification: dict[str, Any] = {}
    for records in _every(folder, step):
        specification = specification or _specification(records, kinds)
        parsed = tf.io.parse_example(records, specification)
        parts.append({name: tensor.numpy() for name, tensor in parsed.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in specification}


def _every(folder: Path, step: int) -> Iterator[np.ndarray]:
    """Yields every `step`-th record in batches."""
    first = 0
    for records in predictions.read_batches(folder, BATCH_ROWS):
        chosen = records[-first % step :: step]
        first += len(records)
        if len(chosen):
            yield chosen


def _specification(records: np.ndarray, kinds: Mapping[str, str]) -> dict[str, Any]:
    """How to parse the rows: inputs by their kind, other features by what the first rows have."""
    seen: dict[str, str] = {}
    for record in records:
        for name, value in tfrecord.parse_features(record).items():
            if value is not None and name not in seen:
                seen[name] = _kind(value)
    return {name: types.parsing_spec(kind) for name, kind in {**seen, **kinds}.items()}


def _kind(value: Any) -> str:
    first = value[0] if isinstance(value, list) else value
    name = "bytes" if isinstance(first, bytes) else "int" if isinstance(first, int) else "float"
    return f"{name}[{len(value)}]" if isinstance(value, list) else name


def sample_examples(examples: Iterable[Example], kinds: Mapping[str, str], step: int = 1) -> Columns:
    """Returns every `step`-th sound row of a data set as columns, as `read_columns` does.

    Args:
        examples: The rows.
        kinds: Kind of each input, and of the label.
        step: 1 for all rows.
    """
    sound = (example.features for example in examples if not example.fault)
    rows = [features for number, features in enumerate(sound) if number % step == 0]
    return {name: _to_column([row.get(name) for row in rows], kind) for name, kind in kinds.items()}


def _to_column(cells: list[Any], declared: str) -> np.ndarray:
    name, shape = types.parse_kind(declared)
    dtype = {"bytes": object, "int": np.int64, "float": np.float64}[name]
    gap = np.full(shape, np.nan) if shape else types.MISSING_VALUES[name]
    column = np.empty((len(cells), *shape), dtype)
    for place, cell in enumerate(cells):
        column[place] = gap if cell is None else cell
    return column
