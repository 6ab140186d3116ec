"""The gate of a table by its standard models, and columns that tell the target by themselves."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from pipeline.scaffold import baseline
from pipeline.scaffold.baseline import Sample
from pipeline.scaffold.choices import Role, number_bounds
from pipeline.scaffold.table import plan_table

ROWS = 300
TRUTH = np.random.default_rng(1).gamma(2.0, 30.0, ROWS).round(2)
NOISE = np.random.default_rng(2).normal(size=ROWS)


def plan(folder, columns, target="price", task=""):
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return plan_table(path, target, task)


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
def test_copies_and_images_of_a_target_of_many_values_are_left_out(tmp_path, image, words):
    found = plan(tmp_path, {"x": NOISE, "image": image, "price": TRUTH})
    assert used_as(found, "image").startswith(words)
    assert used_as(found, "x").startswith("number")


def test_a_column_that_is_only_near_the_target_stays_and_is_named(tmp_path):
    found = plan(tmp_path, {"x": NOISE, "near": TRUTH * (1 + 0.01 * NOISE), "price": TRUTH})
    assert used_as(found, "near").startswith("number")
    (line,) = [note for note in found.notes if note.startswith("Possible leak")]
    assert "near alone predicts price nearly perfectly" in line


def test_a_column_that_tells_the_class_is_named_and_the_only_input_is_not(tmp_path):
    sides = NOISE > 0
    columns = {"x": NOISE[::-1], "sure": sides * 5 + np.abs(NOISE), "price": np.where(sides, "high", "low")}
    assert any("sure alone predicts price" in note for note in plan(tmp_path, columns).notes)
    del columns["x"]
    assert not any("Possible leak" in note for note in plan(tmp_path, columns).notes)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_gate_asks_for_what_a_linear_model_reaches_whatever_the_unit(tmp_path, unit):
    target = unit * (3 * NOISE + 0.1 * NOISE[::-1])
    bounds = plan(tmp_path, {"x": NOISE, "z": TRUTH, "price": target}).facts["bounds"]
    assert 0.08 * unit < bounds.at_most["mae"] < 0.4 * unit
    assert "Linear model reaches mae" in bounds.baseline
    assert 1.5 * unit < number_bounds(list(target)).at_most["mae"]


def test_the_gate_never_asks_for_more_than_the_standard_model_reaches(tmp_path):
    hard = np.where(0.7 * NOISE + NOISE[::-1] > 0, "yes", "no")
    bounds = plan(tmp_path, {"x": NOISE, "price": hard}).facts["bounds"]
    reached = float(bounds.baseline.split("reaches accuracy ")[1].split()[0])
    assert 0.5 < bounds.at_least["accuracy"] < reached - 0.02


def test_where_nothing_can_be_learnt_the_gate_asks_for_more_than_chance_and_says_so(tmp_path):
    classes = np.array(["a", "b", "c"])[np.arange(ROWS) % 3]
    bounds = plan(tmp_path, {"x": NOISE, "price": classes}).facts["bounds"]
    assert bounds.at_least["accuracy"] > 0.4
    assert "not better than guessing" in bounds.baseline


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": NOISE, "b": TRUTH, "target": NOISE[::-1]}, "chosen by its name, --target takes another: a, b."),
        ({"text": ["one two three four five six"] * ROWS, "b": TRUTH}, "chosen as the only column that can be one"),
    ],
)
def test_the_target_is_not_chosen_in_silence(tmp_path, columns, words):
    columns = {**columns, "text": [f"word{n} and some more words of a text {n}" for n in range(ROWS)]}
    assert words.rstrip(".") in plan(tmp_path, columns, "").notes[0]


def test_a_target_that_the_user_names_needs_no_reason(tmp_path):
    assert "chosen" not in plan(tmp_path, {"x": NOISE, "price": TRUTH}).notes[0]


def test_obvious_classes_have_no_leak():
    truth = np.r_[np.zeros(290, int), np.ones(10, int)]
    sample = Sample({"a": NOISE, "b": truth + 0.0}, {"a": "float", "b": "float"}, truth, ("n", "y"))
    column = type("Column", (), {"name": "b"})
    other = type("Column", (), {"name": "a"})
    assert [] == baseline.find_leaks(sample, [Role(column, "number", ""), Role(other, "number", "")])
