"""Standard models on rows that they have not seen."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.baseline import holdout
from pipeline.baseline.inputs import Inputs
from pipeline.recipe import Metric

ACCURACY = Metric("accuracy", "SparseCategoricalAccuracy")


def test_equal_rows_are_in_one_part_and_the_parts_are_alike():
    drawn = np.random.default_rng(1).integers(0, 30, 600)
    categories = np.array([["a"], ["b"]], object)[drawn % 2]
    parts = holdout.divide_rows(Inputs(drawn[:, None].astype(float), categories, None))
    assert all(len(set(parts[drawn == number])) == 1 for number in range(30))
    assert 3 == len(np.unique(parts))
    assert np.array_equal(parts, holdout.divide_rows(Inputs(drawn[:, None].astype(float), categories, None)))


def test_what_is_only_overfitted_is_no_better_than_guessing():
    """Thirty different rows, each twenty times, with classes that have nothing to do with them."""
    drawn = np.random.default_rng(2).normal(size=(30, 2))
    truth = np.random.default_rng(3).integers(0, 2, 30)
    rows = np.repeat(np.arange(30), 20)
    columns = {"a": drawn[rows, 0], "b": drawn[rows, 1]}
    best = holdout.hold_out(columns, {"a": "float", "b": "float"}, truth[rows], 2, ACCURACY)
    assert best.value < 0.75


@pytest.mark.parametrize("classes", [2, 3])
def test_a_part_with_one_class_only_is_survived(classes):
    rows = np.repeat(np.arange(3.0), 20)
    truth = (rows == 0).astype(int)
    best = holdout.hold_out({"a": rows}, {"a": "float"}, truth, classes, ACCURACY)
    assert 0.0 <= best.value <= 1.0
