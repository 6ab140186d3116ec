"""Metrics of ranked lists: how high the right items are, how many of them are in the list, how many items ever appear.

Sources: K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4), 2002 (NDCG, here
with gains of 0 or 1); M. Ge et al., Beyond accuracy, RecSys 2010, section 3 (coverage).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pipeline.evaluation.bootstrap import Statistic, mean_of

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence


def ndcg(
    relevant: Sequence[Collection[object]], ranked: Sequence[Sequence[object] | np.ndarray], count: int
) -> Statistic:
    """Returns the mean normalized discounted cumulative gain; rows without a right item do not count.

    Args:
        relevant: The right items of each row.
        ranked: The list of each row, the best first.
        count: Length of the list that counts.
    """
    weights = 1 / np.log2(np.arange(2, count + 2))
    values = []
    for right, listed in zip(map(set, relevant), ranked, strict=True):
        gain = sum(weights[place] for place, item in enumerate(listed[:count]) if item in right)
        values.append(gain / weights[: len(right)].sum() if right else np.nan)
    return mean_of(np.array(values))


def recall(relevant: Sequence[Collection[object]], ranked: Sequence[Sequence[object]], count: int) -> Statistic:
    """Returns the mean share of the right items that are among the first ones; rows without any are left out."""
    values = [
        len(right & set(listed[:count])) / len(right) if right else np.nan
        for right, listed in zip(map(set, relevant), ranked, strict=True)
    ]
    return mean_of(np.array(values))


def coverage(ranked: Sequence[Sequence[object]], count: int, items: int) -> Statistic:
    """Returns the share of all items that are among the first ones of any row.

    Args:
        ranked: The list of each row, the best first.
        count: Length of the list that counts.
        items: Number of all items.
    """
    lists = [set(listed[:count]) for listed in ranked]
    return Statistic(len(lists), lambda rows: len(set().union(*(lists[row] for row in rows))) / items)


def group_items(users: np.ndarray, items: np.ndarray) -> dict[Hashable, set[Hashable]]:
    """Returns the items of each user, of rows (rows,) each."""
    groups: dict[Hashable, set[Hashable]] = {}
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        groups.setdefault(user, set()).add(item)
    return groups


def most_frequent(items: np.ndarray, known: Sequence[Collection[object]], count: int) -> list[np.ndarray]:
    """Returns the list that recommends what is most frequent, the weakest reference, without what is known.

    Of equally frequent items the smallest comes first. A list costs what it has and leaves out, not all items.

    Args:
        items: The items of all rows.
        known: The items that each list leaves out.
        count: Length of a list.
    """
    values, times = np.unique(items, return_counts=True)
    order = values[np.argsort(-times, kind="stable")].tolist()
    lists = (itertools.islice((item for item in order if item not in left_out), count) for left_out in known)
    return [np.array(list(listed), values.dtype) for listed in lists]


def lift(own: Statistic, other: Statistic) -> Statistic:
    """Returns how many times as large a metric is as another over the same rows; NaN where that is 0."""

    def over(rows: np.ndarray) -> float:
        reference = other.over(rows)
        return own.over(rows) / reference if reference else np.nan

    return Statistic(own.rows, over)
