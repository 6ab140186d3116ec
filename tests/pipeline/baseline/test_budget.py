"""The work of a standard model is bounded, whatever the data; a few rows are always used as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.baseline import budget, fit, models
from pipeline.baseline.encoders import TreeEncoder
from pipeline.baseline.inputs import Inputs

ROWS, WIDTHS, CLASSES = st.integers(1, 2_000_000), st.integers(1, 5000), st.integers(1, 200)


def used(rows, allowed):
    return -(-rows // allowed.step)


def is_least(rows, allowed):
    return used(rows, allowed) < 2 * budget.LEAST_ROWS + 1


@given(ROWS, WIDTHS, CLASSES)
def test_trees_are_within_their_budget(rows, width, outputs):
    allowed = budget.tree_budget(rows, width, outputs)
    cells = used(rows, allowed) * width * outputs * allowed.iterations / budget.TREE_ROUNDS
    assert cells <= budget.TREE_CELLS * 1.01 or is_least(rows, allowed)
    assert outputs * allowed.iterations <= max(budget.TREES, outputs * budget.LEAST_ROUNDS)


@given(ROWS, WIDTHS, CLASSES)
def test_a_logistic_regression_is_within_its_budget(rows, width, classes):
    allowed = budget.logistic_budget(rows, rows * width, classes)
    assert budget.LEAST_ITERATIONS <= allowed.iterations <= budget.MOST_ITERATIONS
    work = used(rows, allowed) * width * classes * allowed.iterations
    assert work <= budget.MULTIPLICATIONS * 1.01 or is_least(rows, allowed)


@given(ROWS, WIDTHS)
def test_a_linear_model_is_within_its_budget(rows, width):
    allowed = budget.square_budget(rows, width)
    assert used(rows, allowed) * width**2 <= budget.SQUARES * 1.01 or is_least(rows, allowed)


@pytest.mark.parametrize(("rows", "width", "classes"), [(22_792, 14, 1), (1_400, 64, 10), (150, 4, 3)])
def test_usual_tables_are_used_whole(rows, width, classes):
    assert budget.Budget(1, budget.TREE_ROUNDS) == budget.tree_budget(rows, width, classes)
    assert budget.Budget(1, budget.MOST_ITERATIONS) == budget.logistic_budget(rows, rows * width, classes)
    assert 1 == budget.square_budget(rows, width).step


def test_a_model_learns_from_so_many_rows_and_counts_them(monkeypatch):
    monkeypatch.setattr(budget, "TREE_CELLS", 2000)
    numbers = np.random.default_rng(1).normal(size=(4000, 2))
    rows = Inputs(numbers, np.zeros((4000, 0), object), None)
    task = models.Task({"a": "float", "b": "float"})
    (trees,) = (m for m in models.make_models(task, {"a": "number", "b": "number"}, rows) if m.name == models.TREES)
    trees.fit(rows, numbers[:, 0])
    assert (1000, 100) == (trees.rows, trees.estimator.max_iter)
    assert isinstance(trees.encoder, TreeEncoder)


@pytest.mark.parametrize(
    ("used_rows", "words"),
    [
        ({"a": 90, "b": 90}, ""),
        ({"a": 30, "b": 30}, "fitted on 30 of 90 rows"),
        ({"a": 30, "b": 90}, "fitted a on 30 of 90 rows"),
        ({"a": 30, "b": 45}, "fitted a on 30 of 90 rows, b on 45 of 90 rows"),
    ],
)
def test_a_part_of_the_rows_is_said(used_rows, words):
    assert words == fit.describe_sample(used_rows, 90)


def test_texts_are_counted_in_bytes():
    texts = np.array([b"one two three %d" % number for number in range(100)], object)
    columns = {"text": texts, "kind": np.array([b"red", b"blue"] * 50, object), "x": np.zeros(100)}
    kinds = {"text": "bytes", "kind": "bytes", "x": "float"}
    assert sum(map(len, texts)) == fit.text_bytes(columns, kinds)
