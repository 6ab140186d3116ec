"""The input pipeline of `fit`: decoded and preprocessed rows in batches, with new augmentation in every epoch.

Records are decoded and preprocessed once, and cached in memory if they fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.features import targets
from pipeline.features.targets import PREFIX
from pipeline.formats import tfrecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import tensorflow as tf

    from pipeline.recipe import Recipe


PARSE_BATCH = 256
STREAM_SHUFFLE_ROWS = 10_000
MOST_ROWS, MOST_NUMBERS = 512, 2**21  # that a network answers at a time where it does not learn
MEMORY_SHARE = 0.25


@dataclass(frozen=True)
class Rows:
    """Preprocessed rows of one split.

    Attributes:
        dataset: Elements (features, label), one row each; instead of the label the targets, by name or the only one.
        count: Number of rows.
        bytes: Size of all decoded rows.
        part: (index, of) -> every `of`-th row from the index-th on; reads no others.
        tables: What the rows refer to, by name (`Spec.tables`).
    """

    dataset: tf.data.Dataset
    count: int
    bytes: int
    part: Callable[[int, int], tf.data.Dataset] | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fits_memory(self) -> bool:
        """Whether the decoded rows fit into a quarter of the free memory."""
        return self.bytes < MEMORY_SHARE * psutil.virtual_memory().available

    def share(self, index: int, of: int) -> Rows:
        """Returns every `of`-th row from the index-th on, for one of several processes."""
        count = len(range(index, self.count, of))
        dataset = self.part(index, of) if self.part else self.dataset.shard(of, index)
        return Rows(dataset, count, self.bytes * count // max(self.count, 1), tables=self.tables)


def separate_answer(values: dict[str, Any], recipe: Recipe) -> tuple[dict[str, Any], Any]:
    """Separates Transform's outputs: the features that the network gets, and the label or the targets.

    Args:
        values: Features and the label, or targets with their prefix.
        recipe: The recipe, for its label and its teacher.
    """
    numbers = {name: value for name, value in values.items() if not name.endswith("_bytes")}
    if not targets.target_kinds(recipe.data):
        return {name: value for name, value in numbers.items() if name != recipe.data.label}, values[recipe.data.label]
    answer = {name.removeprefix(PREFIX): value for name, value in numbers.items() if name.startswith(PREFIX)}
    features = {name: value for name, value in numbers.items() if not name.startswith(PREFIX)}
    features |= {name: answer[name] for name in recipe.teacher}
    return features, answer if len(answer) > 1 else next(iter(answer.values()))


def load_rows(
    files: list[str], spec: dict[str, Any], transform: Callable[[Any], dict[str, Any]], recipe: Recipe
) -> Rows:
    """Reads TFRecords of `tf.train.Example` and preprocesses them.

    Args:
        files: Paths or patterns.
        spec: Parsing specification of the raw features.
        transform: Batch of raw features -> batch of preprocessed features, the label or the targets among them.
        recipe: The recipe.
    """
    import tensorflow as tf

    records = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(files)))
    count = int(records.reduce(0, lambda total, _: total + 1))

    def prepare(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return separate_answer(dict(transform(tf.io.parse_example(serialized, spec))), recipe)

    def part(index: int, of: int) -> tf.data.Dataset:
        own = records.shard(of, index).batch(PARSE_BATCH)
        rows = own.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
        return rows.apply(tf.data.experimental.assert_cardinality(len(range(index, count, of))))

    rows = part(0, 1)
    return Rows(rows, count, count * _row_bytes(rows), part, tfrecord.read_tables(Path(files[0]).parent.parent))


def _row_bytes(rows: tf.data.Dataset) -> int:
    import tensorflow as tf

    specs = tf.nest.flatten(rows.element_spec)
    return sum((spec.shape.num_elements() or 1) * spec.dtype.size for spec in specs)


def training_batches(
    rows: Rows,
    batch_size: int,
    seed: int,
    target: Callable[[Any, Any], Any],
    augment: Callable[[Any, Any], Any] | None,
) -> tf.data.Dataset:
    """Returns shuffled and augmented batches; the order differs from epoch to epoch and is fixed by the seed.

    The last, smaller batch is dropped (other rows each epoch): TensorFlow would compile a second graph for it.

    Args:
        rows: The training split.
        batch_size: Rows per batch.
        seed: Seed of the order.
        target: (features, label) -> (features, target of the loss).
        augment: (features, target) -> the same, changed at random; None for nothing.
    """
    import tensorflow as tf

    dataset = rows.dataset.cache() if rows.fits_memory else rows.dataset
    dataset = dataset.shuffle(rows.count if rows.fits_memory else STREAM_SHUFFLE_ROWS, seed=seed)
    dataset = dataset.batch(min(batch_size, rows.count), drop_remainder=True).map(target)
    if augment is not None:
        dataset = dataset.map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(tf.data.AUTOTUNE)


def rows_at_once(numbers: int, least: int) -> int:
    """Returns how many rows a network answers at a time: 512, and fewer of those that have many numbers.

    A network of pictures keeps some hundred numbers for each of its input: 512 pictures of 320 x 256 would take tens of
    gigabytes.

    Args:
        numbers: That a row has.
        least: As many rows as it learns from at a time, which evidently fit.
    """
    return max(least, min(MOST_ROWS, MOST_NUMBERS // max(numbers, 1)))


def count_numbers(rows: Rows) -> int:
    """Returns how many numbers the features of a row have."""
    import tensorflow as tf

    features, _ = rows.dataset.element_spec
    return sum(spec.shape.num_elements() or 1 for spec in tf.nest.flatten(features))


def validation_batches(rows: Rows, batch_size: int) -> tf.data.Dataset:
    """Returns batches of all rows in order, never augmented."""
    import tensorflow as tf

    dataset = rows.dataset.batch(batch_size)
    return (dataset.cache() if rows.fits_memory else dataset).prefetch(tf.data.AUTOTUNE)
