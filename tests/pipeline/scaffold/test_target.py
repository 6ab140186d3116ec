"""The target: never chosen in silence, and never guessed."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.formats.columns import Column
from pipeline.scaffold.target import find_target


def number(name, **more):
    return Column(name, "float", 100, 0, 90, **more)


def names(name, values=("a", "b"), **more):
    return Column(name, "bytes", 100, 0, len(values), values=values, **more)


@pytest.mark.parametrize(
    ("columns", "chosen", "words"),
    [
        ([number("a"), number("b"), names("Target")], "Target", "chosen by its name; --target takes another: a, b"),
        ([number("a"), number(" y ")], " y ", "chosen by its name; --target takes another: a"),
        ([names("day", date=True), names("class")], "class", "chosen by its name; no other can be one"),
        ([names("note", free_text=True), number("no", id_like=True), number("b")], "b", "chosen as the only column"),
    ],
)
def test_what_was_chosen_is_said_with_what_else_was_possible(columns, chosen, words):
    column, choice = find_target(columns, "")
    assert chosen == column.name
    assert words in choice


@pytest.mark.parametrize(
    ("columns", "candidates", "received"),
    [
        ([number("a"), number("b")], "a, b", "no --target"),
        ([number("a"), names("class"), number("y")], "a, class, y", "class, y are all called like a target"),
        ([number("y"), number("a"), names("y_2")], "y, a, y_2", "y, y_2 are all called like a target"),
        (
            [number("a"), number("b"), names("y", constant=True)],
            "a, b",
            "y is called like a target, but it is the same",
        ),
        (
            [number("a"), names("label", (), free_text=True)],
            "a",
            "label is called like a target, but it holds sentences",
        ),
        ([number("a"), names("label", ())], "a", "label is called like a target, but it has more than 100 different"),
        ([number("a"), number("y", id_like=True)], "a", "y is called like a target, but it numbers or names the rows"),
        ([number("a"), names("target", date=True)], "a", "target is called like a target, but it holds dates"),
        ([number("a"), Column("target", "float[3]", 9, 0, 9)], "a", "but it has nested values"),
    ],
)
def test_in_doubt_it_asks_and_lists_the_candidates(columns, candidates, received):
    with pytest.raises(UsageError) as caught:
        find_target(columns, "")
    assert "It is not clear which column is to be predicted." in str(caught.value)
    assert f"Expected: --target with one of {candidates}\n" in str(caught.value)
    assert received in str(caught.value)
    assert "Next: name it with --target COLUMN" in str(caught.value)


def test_what_the_user_names_is_taken_and_a_slip_is_corrected():
    columns = [number("price"), number("y")]
    assert (columns[0], "") == find_target(columns, "price")
    with pytest.raises(UsageError, match=r"There is no column 'prise'.*\n.*price, y\n.*\n.*did you mean price"):
        find_target(columns, "prise")


@pytest.mark.heavy
def test_a_series_says_by_what_its_target_was_chosen(drafted, write_csv, series):
    table = {name: series[name] for name in ("day", "sold")}
    note = drafted(write_csv(table)).plan.notes[0]
    assert note.endswith("; --task regression for the other reading; chosen as the only column that can be one.")
    assert drafted(write_csv(table), "sold").plan.notes[0].endswith("for the other reading.")


def test_an_unnamed_column_is_not_what_no_target_means():
    columns = [number("", id_like=True), number("a"), names("target")]
    assert "target" == find_target(columns, "")[0].name


def test_the_index_of_a_frame_is_left_out(drafted, write_csv, trees):
    found = drafted(write_csv({"": list(range(200)), "height": trees["height (m)"], "label": trees["grown"]}))
    assert "label is the target" in found.plan.notes[0]
    assert "left out: numbers or names the rows" == found.uses["(no name)"]


def test_the_index_of_a_shuffled_frame_in_parquet_is_left_out(drafted, tmp_path, trees):
    import pandas as pd

    frame = pd.DataFrame({"height": trees["height (m)"], "label": trees["grown"]}).sample(frac=1, random_state=1)
    frame.to_parquet(tmp_path / "trees.parquet")
    found = drafted(tmp_path / "trees.parquet")
    assert "label is the target" in found.plan.notes[0]
    assert "left out: numbers or names the rows" == found.uses["__index_level_0__"]
    assert "__index_level_0__" not in found.text


def test_ticks_and_empty_cells_are_not_called_the_same_in_every_row():
    columns = [number("a"), number("b"), Column("label", "bytes", 100, 40, 1, values=("x",), constant=True)]
    with pytest.raises(UsageError, match="called like a target, but it is the same in every row that has one"):
        find_target(columns, "")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([json.dumps({"x": place}) for place in range(60)], "give each value within size a column of its own"),
        ([str(1_600_000_000 + 3600 * place) for place in range(60)], "write the times in size as 2024-01-31"),
    ],
)
def test_a_table_without_an_input_is_told_how_to_have_one(tmp_path, drafted, cells, words):
    rows = [f'{{"size": {cell}, "kind": "{"ab"[place % 2]}"}}' for place, cell in enumerate(cells)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(PipelineError, match=words):
        drafted(tmp_path / "rows.jsonl", "kind")


def test_a_target_of_amounts_with_a_unit_is_told_how_to_write_them(drafted, write_csv):
    columns = {"size": [place / 7 for place in range(150)], "price": [f"${place}.50" for place in range(150)]}
    with pytest.raises(UsageError, match=r"price cannot be predicted(.*\n)*.*Next: write its figures as 1234\.5"):
        drafted(write_csv(columns), "price")


@pytest.mark.parametrize("form", ["${}00", "{}0 %", "{}.5k", "{}k", "{} EUR", "({})"])
def test_few_amounts_are_no_classes_unless_it_is_asked_for(drafted, write_csv, form):
    columns = {"size": [place / 7 for place in range(150)], "price": [form.format(place % 5) for place in range(150)]}
    with pytest.raises(UsageError, match="--task classification to take each for a class"):
        drafted(write_csv(columns), "price")
    notes = drafted(write_csv(columns), "price", task="classification").plan.notes
    assert "price is the target: classification, asked for." in notes


def test_two_amounts_are_two_classes(drafted, write_csv):
    columns = {
        "size": [place / 7 for place in range(150)],
        "rate": [f"{10 + 5 * (place % 2)}%" for place in range(150)],
    }
    assert "classification, 2 different texts" in " ".join(drafted(write_csv(columns), "rate").plan.notes)
