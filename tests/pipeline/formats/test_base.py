"""A data set under names that a served signature takes."""

from __future__ import annotations

from pathlib import Path

from pipeline.formats.base import RenamedColumns
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
