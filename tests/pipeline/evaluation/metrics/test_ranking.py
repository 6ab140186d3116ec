"""NDCG against scikit-learn, recall and coverage by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from pipeline.evaluation.bootstrap import mean_of
from pipeline.evaluation.metrics import ranking

ITEMS = 12


@given(st.sets(st.integers(0, ITEMS - 1), min_size=1), st.permutations(range(ITEMS)), st.integers(1, ITEMS))
def test_ndcg_is_that_of_scikit_learn(right, order, count):
    gains = np.array([[float(item in right) for item in order]])
    scores = np.arange(ITEMS, 0, -1.0)[None]
    own = ranking.ndcg([right], [order], count).value
    assert own == pytest.approx(ndcg_score(gains, scores, k=count))


def test_rows_without_a_right_item_do_not_count():
    relevant, ranked = [{1, 2}, set(), {5}], [[1, 7], [1, 2], [3, 4]]
    assert ranking.recall(relevant, ranked, 2).value == 0.25
    first = 1 / np.log2(2) / (1 / np.log2(2) + 1 / np.log2(3))
    assert ranking.ndcg(relevant, ranked, 2).value == pytest.approx(first / 2)


def test_coverage_counts_items_once():
    measured = ranking.coverage([[1, 2], [2, 3], [9, 1]], 2, items=8)
    assert measured.value == 0.5
    assert measured.over(np.array([0, 0])) == 0.25
    assert ranking.coverage([[1, 2], [2, 3]], 1, items=4).value == 0.5


def test_popularity_leaves_out_what_is_known():
    items = np.array([5, 5, 5, 7, 7, 9, 1, 1])
    lists = ranking.most_frequent(items, [set(), {5}, {5, 1, 7, 9}], 2)
    assert [[5, 1], [1, 7], []] == [found.tolist() for found in lists]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.sets(st.integers(0, 9)), max_size=4))
def test_lists_are_as_frequent_as_those_of_the_slow_way(items, known):
    counts = np.bincount(items, minlength=10)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    slow = [order[~np.isin(order, list(left_out))][:3] for left_out in known]
    fast = ranking.most_frequent(np.array(items), known, 3)
    assert [listed.tolist() for listed in slow] == [listed.tolist() for listed in fast]
    assert [[counts[item] for item in listed] for listed in slow] == [[counts[i] for i in listed] for listed in fast]
    assert not any(set(listed.tolist()) & left_out for listed, left_out in zip(fast, known, strict=True))


def test_items_by_user():
    assert {1: {4, 5}, 2: {4}} == ranking.group_items(np.array([1, 2, 1, 1]), np.array([4, 4, 5, 4]))


def test_lift_is_over_the_same_rows():
    own, other = mean_of(np.array([0.5, 0.0])), mean_of(np.array([0.25, 0.0]))
    measured = ranking.lift(own, other)
    assert measured.value == 2.0
    assert np.isnan(measured.over(np.array([1, 1])))
