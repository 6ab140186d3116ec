"""Lists of a recommender next to the most frequent items."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.metrics.recommendation import compare_lists, right_answers


def column(*values):
    return np.array(values, object)


TRAIN = {"user_id": column(b"u", b"u", b"v", b"v", b"w"), "item_id": column(b"a", b"b", b"a", b"c", b"a")}
TEST = {"user_id": column(b"u", b"v", b"v"), "item_id": column(b"c", b"b", b"d"), "liked": np.array([1, 0, 1])}


def test_what_is_not_liked_is_no_right_answer():
    assert {b"u": {b"c"}, b"v": {b"d"}} == right_answers(TEST, 10)
    assert {b"u": {b"c"}, b"v": {b"b", b"d"}} == right_answers({**TEST, "liked": np.ones(3)}, 10)
    del (unrated := dict(TEST))["liked"]
    assert {b"u": {b"c"}, b"v": {b"b", b"d"}} == right_answers(unrated, 10)


def test_of_many_users_some_are_asked():
    users = np.array([b"%03d" % number for number in range(100)], object)
    assert [b"%03d" % number for number in range(0, 100, 10)] == list(
        right_answers({"user_id": users, "item_id": users}, 10)
    )


def test_lists_are_compared_with_the_most_frequent_items():
    answers = right_answers(TEST, 10)
    scores = compare_lists(TRAIN, answers, np.array([[b"c", b""], [b"b", b"d"]], object), 2)
    assert ["ndcg", "ndcg_popular", "lift", "recall", "coverage"] == list(scores)
    assert pytest.approx((1 + 1 / np.log2(3)) / 2) == scores["ndcg"].value
    assert pytest.approx(1.0) == scores["recall"].value
    assert pytest.approx(0.5) == scores["ndcg_popular"].value  # c for u, then b for v
    assert pytest.approx(scores["ndcg"].value / 0.5) == scores["lift"].value
    assert pytest.approx(1.0) == scores["coverage"].value  # b, c and d of three items
