"""Gates from what guessing reaches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scaffold import choices


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=20), st.floats(1, 10**5))
def test_the_gate_asks_for_more_than_guessing_and_less_than_everything(counts, tested):
    named = {str(number): count for number, count in enumerate(counts)}
    found = choices.class_bounds(named, tested)
    ((metric, bound),) = found.at_least.items()
    guessed = max(counts) / sum(counts) if metric == "accuracy" else 0.5 if metric == "auc" else 1 / len(counts)
    assert guessed <= bound <= 1
    assert bound - guessed <= 0.51 * (1 - guessed) + 0.001
    assert list(found.no_worse) == [metric]


def test_two_classes_of_a_size_are_evaluated_by_accuracy():
    found = choices.class_bounds({"a": 600, "b": 400}, 1000)
    assert {"accuracy": 0.64} == found.at_least
    assert ("b", 0.0) == (found.positive, found.class_weight)


def test_few_test_rows_ask_for_more():
    few, many = (choices.class_bounds({"a": 600, "b": 400}, tested).at_least["accuracy"] for tested in (50, 5000))
    assert 0.739 == few
    assert 0.64 == many


def test_a_rare_class_of_two_is_evaluated_by_the_area_under_the_curve():
    found = choices.class_bounds({"a": 950, "b": 50}, 200)
    assert ["auc"] == list(found.at_least)
    assert ("b", 0.5, False) == (found.positive, found.class_weight, found.balanced)


def test_a_rare_class_of_many_is_evaluated_by_the_mean_recall():
    found = choices.class_bounds({"a": 500, "b": 480, "c": 20}, 200)
    assert ["balanced_accuracy"] == list(found.at_least)
    assert found.at_least["balanced_accuracy"] > 1 / 3
    assert ("", 0.5, True) == (found.positive, found.class_weight, found.balanced)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2))
def test_the_error_must_be_below_that_of_the_median(values):
    middle = sorted(values)[len(values) // 2]
    error = sum(abs(value - middle) for value in values) / len(values)
    assert choices.number_bounds(values).at_most["mae"] <= 0.91 * error + 1e-9


def test_numbers():
    found = choices.number_bounds([0.0, 10.0, 20.0])
    assert {"mae": 6.0} == found.at_most
    assert {"mae": pytest.approx(0.333)} == found.no_worse


def test_a_class_that_the_test_split_may_miss_is_said():
    words = choices.class_bounds({"no": 297, "yes": 3}, 30).baseline
    assert words.endswith(
        "Rows of yes are few (3), and the test split may get none: then auc is not defined and nothing is published. "
        "Add such rows."
    )
    assert "the test split may get none" in choices.class_bounds({"a": 150, "b": 148, "c": 2}, 30).baseline
    assert "Add such rows" not in choices.class_bounds({"no": 950, "yes": 50}, 200).baseline
