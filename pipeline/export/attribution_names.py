"""Assigns each number of an explanation to its raw column or word.

A recipe's preprocessing may concatenate columns, combine two into one or split a text in any way, and declares none of
this. So it is tested on some rows of the data: which column changes which number, and which way to split a text always
gives the same word the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from pipeline.features.text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.export.signatures import ServingModel


@dataclass(frozen=True)
class ColumnOwners:
    """The columns that a row's numbers come from.

    Attributes:
        names: A name for each attribution, such as "age", or "latitude, longitude" for a number made from both.
        owner: For each feature, in order, the index in `names` of each of its numbers, in row-major order.
    """

    names: tuple[str, ...]
    owner: dict[str, np.ndarray]

    def sum_columns(self, attributions: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Sums attributions of one row by feature, {name: (…)}, to those of its columns, (len(names),)."""
        flat = tf.concat([tf.reshape(attributions[feature], [-1]) for feature in self.owner], axis=0)
        owner = np.concatenate(list(self.owner.values()))
        return tf.math.unsorted_segment_sum(flat, owner, len(self.names))


def find_columns(served: ServingModel, features: list[str]) -> ColumnOwners:
    """Finds the raw columns that each number of the features depends on, by exchanging values between rows.

    A number that no column changes, because its column is constant in the sample, is named after its feature.
    """
    raw = {name: tf.constant(value) for name, value in served.sample.items()}
    before = {name: value.numpy() for name, value in served.features(raw).items()}
    depends = {feature: np.zeros((*before[feature].shape[1:], len(raw)), bool) for feature in features}
    for place, name in enumerate(raw):
        after = served.features({**raw, name: tf.roll(raw[name], 1, axis=0)})
        for feature, entries in depends.items():
            entries[..., place] = (before[feature] != after[feature].numpy()).any(axis=0)
    names_by_feature = {feature: _column_names(feature, entries, list(raw)) for feature, entries in depends.items()}
    names = tuple(dict.fromkeys(name for entries in names_by_feature.values() for name in entries))
    return ColumnOwners(
        names,
        {feature: np.array([names.index(name) for name in entries]) for feature, entries in names_by_feature.items()},
    )


def _column_names(feature: str, depends: np.ndarray, raw: list[str]) -> list[str]:
    rows = depends.reshape(-1, len(raw))
    return [", ".join(name for name, moved in zip(raw, row, strict=True) if moved) or feature for row in rows]


def find_tokenizer(served: ServingModel, feature: str) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Finds the function that splits texts (batch,) into the words behind the ids (batch, length); None if unknown.

    A way to split fits if in all texts of the sample the same word always has the same id, and padding has an id that
    no word has.
    """
    (texts,) = (tf.constant(value) for value in served.sample.values())
    (name,) = served.sample
    ids = served.features({name: texts})[feature].numpy()
    for cut in (_split_words, _split_words_and_pairs):
        if _fits_ids(cut(texts, ids.shape[1]).numpy(), ids):
            return partial(cut, length=ids.shape[1])
    return None


def _split_words(text: tf.Tensor, length: int) -> tf.Tensor:
    return words(text)[:, :length].to_tensor("", shape=[None, length])


def _split_words_and_pairs(text: tf.Tensor, length: int) -> tf.Tensor:
    first = words(text)[:, : length // 2]
    return tf.concat([first, tf.strings.ngrams(first, 2)], axis=1).to_tensor("", shape=[None, length])


def _fits_ids(cut: np.ndarray, ids: np.ndarray) -> bool:
    numbers: dict[bytes, set[int]] = {}
    for word, number in zip(cut.reshape(-1), ids.reshape(-1), strict=True):
        numbers.setdefault(word, set()).add(int(number))
    padding = numbers.pop(b"", set())
    return all(len(group) == 1 for group in numbers.values()) and padding.isdisjoint(set().union(*numbers.values()))
