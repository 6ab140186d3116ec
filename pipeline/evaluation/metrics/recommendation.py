"""How good the lists of a recommender are, next to those of the most frequent items, from rows of users and items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.metrics import ranking

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    from pipeline.evaluation.bootstrap import Statistic


def right_answers(test: Mapping[str, Any], most: int) -> dict[Hashable, set[Hashable]]:
    """Returns what users take in the test split, by user, in the order of their ids.

    Args:
        test: `user_id` and `item_id` of the rows, (rows,) each, and perhaps `liked`: 0 for what is no right answer.
        most: Users, about; of more every second one, or third, and so on.
    """
    liked = np.asarray(test.get("liked", np.ones(len(test["user_id"])))) > 0
    after = ranking.group_items(test["user_id"][liked], test["item_id"][liked])
    users = sorted(after)[:: max(1, round(len(after) / most))]  # type: ignore[type-var]  # ids are of one kind
    return {user: after[user] for user in users}


def compare_lists(
    train: Mapping[str, Any], answers: Mapping[Hashable, Collection[Hashable]], lists: Any, count: int
) -> dict[str, Statistic]:
    """Returns how good lists are: `ndcg`, `recall`, `coverage`, and of the most frequent items `ndcg_popular`.

    `lift` is the ratio of the two NDCG.

    Args:
        train: `user_id` and `item_id` of the rows of the training split, (rows,) each.
        answers: What is right, by user; of `right_answers`.
        lists: The list of each of these users, (users, count); b"" stands for nothing.
        count: Items of a list.
    """
    seen = ranking.group_items(train["user_id"], train["item_id"])
    listed = [[item for item in items if item] for items in lists]
    popular = ranking.most_frequent(train["item_id"], [seen.get(user, ()) for user in answers], count)
    right = list(answers.values())
    own, other = (ranking.ndcg(right, ranked, count) for ranked in (listed, popular))
    return {
        "ndcg": own,
        "ndcg_popular": other,
        "lift": ranking.lift(own, other),
        "recall": ranking.recall(right, listed, count),
        "coverage": ranking.coverage(listed, count, len(set(train["item_id"].tolist()))),
    }
