"""What a version says of its inputs and its answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.export.columns import describe_columns
from pipeline.formats.base import RenamedColumns
from pipeline.formats.csv import Csv
from pipeline.formats.folders import ImageFolder
from pipeline.formats.structured.interactions import Interactions
from pipeline.formats.time_series import TimeSeries
from pipeline.tables.dialect import Dialect
from pipeline.tables.number_forms import MISSING_TEXTS


def test_names_in_the_file_and_what_may_be_missing():
    kinds = {"fixed acidity": "float", "colour": "bytes", "count": "int", "photo_bytes": "bytes", "wave": "float[3]"}
    data = RenamedColumns(
        Csv("wine.csv", kinds, "the quality", ("bad", "good")), {"acidity": "fixed acidity", "q": "the quality"}
    )
    assert {
        "columns": {"acidity": "fixed acidity", **{name: name for name in list(kinds)[1:]}},
        "optional": ["acidity", "colour"],
        "dates": [],
        "identifiers": [],
        "target": "the quality",
        "classes": ["bad", "good"],
        "missing": list(MISSING_TEXTS),
    } == describe_columns(data)


def test_the_encoding_that_the_recipe_names():
    series = TimeSeries("x.csv", ("t",), timedelta(hours=1), "v", {"v": "v"}, {"t": "t"})
    named = (Csv("x.csv", {}, "y", encoding="cp1252"), replace(series, dialect=Dialect(encoding="cp1252")))
    assert ["cp1252"] * 2 == [describe_columns(data)["encoding"] for data in named]
    assert "encoding" not in describe_columns(series)


def test_the_form_of_numbers_and_the_missing_values_that_the_recipe_names():
    data = Csv("x.csv", {"x": "float"}, "y", delimiter=";", decimal=",", missing=("", "-999"))
    series = TimeSeries("x.csv", ("t",), timedelta(hours=1), "v", {"v": "v"}, {"t": "t"}, missing=("", "-999"))
    named = (data, RenamedColumns(data, {"size": "x"}), replace(series, dialect=Dialect(";", decimal=",")))
    assert [{"delimiter": ";", "decimal": ","}] * 3 == [describe_columns(data)["form"] for data in named]
    assert [["", "-999"]] * 3 == [describe_columns(data)["missing"] for data in named]
    assert "form" not in describe_columns(Csv("x.csv", {"x": "float"}, "y"))
    assert "missing" not in describe_columns(ImageFolder("x", (1, 1, 1), ("a", "b")))


def test_files_and_windows_are_never_missing():
    assert [] == describe_columns(ImageFolder("x", (1, 1, 1), ("a", "b")))["optional"]
    series = TimeSeries("x.csv", ("t",), timedelta(hours=1), "v", {"v": "v"}, {"t": "t"})
    assert [] == describe_columns(series)["optional"]


def test_columns_of_a_series_have_the_names_of_the_file():
    series = TimeSeries("x.csv", ("t",), timedelta(hours=1), "v (€)", {"v": "v (€)"}, {"time": "t"})
    assert {"v": "v (€)", "time": "t"} == describe_columns(series)["columns"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"2024-01-31", b"", b"01.02.2024 10:00"], ["day"]),
        ([b"2024-01-31", b"soon"], []),
        ([b"2024-01-31"] * 19 + [b"soon"], ["day"]),
        ([b""], []),
    ],
)
def test_texts_that_are_dates(values, expected):
    data = Csv("rows.csv", {"day": "bytes", "size": "float"}, "price")
    assert expected == describe_columns(data, {"day": values, "size": [1.0]})["dates"]
    assert [] == describe_columns(data)["dates"]


def test_ids_are_said():
    assert ["user_id"] == describe_columns(Interactions("rows.csv", "who", "what"))["identifiers"]
