"""Columns of a table that tell its target: copies, images, near-perfect predictors."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scaffold import leaks
from pipeline.scaffold.baseline import Sample
from pipeline.scaffold.choices import Role

ROWS = 300
TRUTH = np.random.default_rng(1).gamma(2.0, 30.0, ROWS).round(2)
NOISE = np.random.default_rng(2).normal(size=ROWS)


def used_as(found, name):
    return next(row[-1] for row in found.rows if row[0] == name)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (TRUTH, "left out: a copy of price"),
        (np.where(np.arange(ROWS) == 7, np.nan, TRUTH), "left out: a copy of price"),
        (1.8 * TRUTH + 32, "left out: price in another unit (1.8 times, plus 32)"),
        (-TRUTH / 1e9, "left out: price in another unit (-1e-09 times, plus"),
        (np.log(TRUTH + 1), "left out: price on another scale, in the same order"),
    ],
)
def test_copies_and_images_of_a_target_of_many_values_are_left_out(plan, image, words):
    found = plan({"x": NOISE, "image": image, "price": TRUTH})
    assert used_as(found, "image").startswith(words)
    assert used_as(found, "x").startswith("number")


def test_a_column_that_is_only_near_the_target_stays_and_is_named(plan):
    found = plan({"x": NOISE, "near": TRUTH * (1 + 0.01 * NOISE), "price": TRUTH})
    assert used_as(found, "near").startswith("number")
    (line,) = [note for note in found.notes if note.startswith("Possible leak")]
    assert "near alone predicts price nearly perfectly" in line


def test_a_column_that_tells_the_class_is_named_and_the_only_input_is_not(plan):
    sides = NOISE > 0
    columns = {"x": NOISE[::-1], "sure": sides * 5 + np.abs(NOISE), "price": np.where(sides, "high", "low")}
    assert any("sure alone predicts price" in note for note in plan(columns).notes)
    del columns["x"]
    assert not any("Possible leak" in note for note in plan(columns).notes)


def test_obvious_classes_have_no_leak():
    truth = np.r_[np.zeros(290, int), np.ones(10, int)]
    sample = Sample({"a": NOISE, "b": truth + 0.0}, {"a": "float", "b": "float"}, truth, ("n", "y"))
    column = type("Column", (), {"name": "b"})
    other = type("Column", (), {"name": "a"})
    assert [] == leaks.find_leaks(sample, [Role(column, "number", ""), Role(other, "number", "")])
