"""A data set under names that a served signature takes, and what faults of rows have in common."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.formats.base import RenamedColumns, fault_kind, list_kinds
from pipeline.formats.csv import Csv


def test_inputs_label_and_rows_have_the_new_names(tmp_path):
    (tmp_path / "iris.csv").write_text("length (cm),width,kind of it\n5.1,3,a\n4.9,?,b\nlong,3,a\n")
    data = Csv("iris.csv", {"length (cm)": "float", "width": "float"}, "kind of it", classes=("a", "b"))
    renamed = RenamedColumns(data, {"length_cm": "length (cm)", "kind": "kind of it"})
    assert {"length_cm": "float", "width": "float"} == renamed.inputs
    assert ("kind", ("a", "b")) == (renamed.label, renamed.classes)
    assert data.files(tmp_path) == renamed.files(tmp_path)
    first, second, third = renamed.examples(tmp_path)
    assert {"length_cm": 5.1, "width": 3.0, "kind": b"a"} == first.features
    assert {"length_cm": 4.9, "kind": b"b"} == second.features
    assert "length (cm)" in third.fault
    assert str(Path("iris.csv")) in first.source


def test_without_names_it_is_the_data_set_itself(tmp_path):
    (tmp_path / "two.csv").write_text("a,b\n1,x\n")
    data = Csv("two.csv", {"a": "float"}, "b", classes=("x",))
    assert list(data.examples(tmp_path)) == list(RenamedColumns(data).examples(tmp_path))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("column en is empty", "column en is empty"),
        ("column 2019 is empty", "column 2019 is empty"),
        ("column x1 is not of kind float: 'a'", "column x1 is not of kind float"),
        ("5 cells, expected 4", "… cells, expected …"),
        ("column en has 2,000 words, expected at most 1,000", "column en has … words, expected at most …"),
        ("2024-02-29T02:00:00 is not later than the row before", "… is not later than the row before"),
        ("longer than 130 tokens: 137", "longer than 130 tokens"),
        ("size 9x8, expected 8x8 pixels", "size …, expected … pixels"),
        ("a quote is not closed: the lines 2 to 4 are one row", "a quote is not closed"),
        (
            "column a is not in the file's encoding, 'gr\\xfcn'; in cp1252 it is 'grün'",
            "column a is not in the file's encoding, …; in cp1252 it is …",
        ),
    ],
)
def test_values_are_no_part_of_the_kind_of_a_fault(fault, kind):
    assert kind == fault_kind(fault)


def test_kinds_are_listed_by_their_number():
    assert "bad" == list_kinds(Counter({"bad": 1200}))
    kinds = Counter({"a": 1200, "b": 5, "c": 4, "d": 3, "e": 2, "f": 1, "g": 1})
    assert "1,200 times a; 5 times b; 4 times c; 3 times d; 2 times e; 2 others" == list_kinds(kinds)
