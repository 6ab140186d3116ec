"""Assigns each number of an explanation to its raw column or word.

A recipe's preprocessing may concatenate columns, combine two into one or split a text in any way, and declares none of
this. So it is tested on some rows of the data: which column changes which number, and which way to split a text always
gives the same word the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from pipeline.features.text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    depends = _find_dependencies(served, raw, features)
    names_by_feature = {feature: _column_names(feature, entries, list(raw)) for feature, entries in depends.items()}
    names = tuple(dict.fromkeys(name for entries in names_by_feature.values() for name in entries))
    places = {name: place for place, name in enumerate(names)}
    return ColumnOwners(
        names,
        {feature: np.array([places[name] for name in entries]) for feature, entries in names_by_feature.items()},
    )


def _find_dependencies(served: ServingModel, raw: dict[str, tf.Tensor], features: list[str]) -> dict[str, np.ndarray]:
    """Returns by feature which columns change each of its numbers, bool (…, columns)."""
    columns, preprocess = list(raw), tf.function(served.features, autograph=False)  # as a graph: run tens of times
    before = preprocess(raw)

    def find_changes(places: Iterable[int]) -> dict[str, np.ndarray]:
        """Returns by feature which numbers change if these columns are exchanged between rows, bool (…)."""
        rolled = {columns[place]: tf.roll(raw[columns[place]], 1, axis=0) for place in places}
        after = preprocess({**raw, **rolled})
        return {name: (before[name].numpy() != after[name].numpy()).any(axis=0) for name in features}

    depends = _find_candidates(find_changes, len(columns))
    several = {name: entries.sum(axis=-1) > 1 for name, entries in depends.items()}
    shared = set().union(*(np.flatnonzero(depends[name][rows].any(axis=0)) for name, rows in several.items()))
    for place in sorted(shared):
        alone = find_changes([int(place)])
        for name, entries in depends.items():
            entries[..., place] &= alone[name] | ~several[name]
    return depends


def _find_candidates(
    find_changes: Callable[[Iterable[int]], dict[str, np.ndarray]], count: int
) -> dict[str, np.ndarray]:
    """Returns by feature which of `count` columns may change each of its numbers, bool (…, count).

    For each bit of their places two groups of columns are exchanged, those with a 0 and those with a 1. A number of one
    column is changed by one of both, so that the bits spell its place, and that is certain. (Binary splitting: D. Du,
    F. Hwang, Combinatorial group testing and its applications, 2000, section 2.1.)
    """
    candidates: dict[str, tuple[Any, Any]] = {}
    for bit in range(max(count - 1, 1).bit_length()):
        digits = np.arange(count) >> bit & 1
        sides = [find_changes(np.flatnonzero(digits == side)) for side in (0, 1)]
        for name in sides[0]:
            pair = np.stack([side[name] for side in sides], axis=-1)
            possible = pair[..., digits] | ~pair.any(axis=-1, keepdims=True)
            seen, fits = candidates.get(name, (False, True))
            candidates[name] = seen | pair.any(axis=-1), fits & possible
    return {name: fits & seen[..., None] for name, (seen, fits) in candidates.items()}


def _column_names(feature: str, depends: np.ndarray, raw: list[str]) -> list[str]:
    rows = depends.reshape(-1, len(raw))
    return [", ".join(name for name, moved in zip(raw, row, strict=True) if moved) or feature for row in rows]


def find_tokenizer(served: ServingModel, feature: str) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Finds the function that splits texts (batch,) into the words behind the ids (batch, length); None if unknown.

    A recipe may say the texts of the ids. Otherwise a way to split fits if in all texts of the sample the same word
    always has the same id, and padding has an id that no word has.
    """
    (texts,) = (tf.constant(value) for value in served.sample.values())
    (name,) = served.sample
    if served.recipe.tokens:
        known = tf.constant(list(served.recipe.tokens()))
        return lambda text: tf.gather(known, served.features({name: text})[feature])
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
