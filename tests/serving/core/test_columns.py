"""Requests in the words of the file that a model was trained on."""

from __future__ import annotations

import json
import math

import pytest

from serving.core.columns import Columns, read_columns
from serving.wire import dtypes

INPUTS = {"fixed_acidity": dtypes.FLOAT, "colour": dtypes.STRING, "count": dtypes.from_number(9)}
COLUMNS = Columns(
    {"fixed acidity": "fixed_acidity", "Colour": "colour", "count": "count"}, frozenset({"fixed_acidity", "colour"})
)


def fit(**document):
    return COLUMNS.fit(document, INPUTS)


def test_rows_in_the_words_of_the_file():
    row = {"fixed acidity": 7.5, "colour": "red", "count": 3}
    assert {"instances": [{"fixed_acidity": 7.5, "colour": "red", "count": 3}]} == fit(instances=[row])


@pytest.mark.parametrize("missing", [{}, {"fixed acidity": None}, {"fixed_acidity": ""}, {"fixed acidity": "nan"}])
def test_missing_values_of_a_row(missing):
    changed = fit(instances=[{"Colour": "red", "count": 3} | missing])["instances"]
    assert math.isnan(changed[0]["fixed_acidity"])
    assert {"fixed_acidity", "colour", "count"} == changed[0].keys()


def test_a_missing_text_is_empty_and_a_text_stays():
    rows = [{"fixed_acidity": 1, "count": 3, "colour": text} for text in (None, "nan", "")]
    assert ["", "nan", ""] == [row["colour"] for row in fit(instances=rows)["instances"]]


def test_columns_in_the_words_of_the_file():
    changed = fit(inputs={"fixed acidity": [7.5, None], "count": [3, 4]})["inputs"]
    assert ["", ""] == changed["colour"]
    assert 7.5 == changed["fixed_acidity"][0]
    assert math.isnan(changed["fixed_acidity"][1])


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"fixed_acidity": 1.0, "colour": "red", "count": None}]},
        {"instances": [[1, 2]]},
        {"instances": 3},
        {"inputs": [1]},
        {},
    ],
)
def test_nothing_to_change(document):
    assert COLUMNS.fit(document, INPUTS) is None


def test_what_is_unknown_stays_for_the_error():
    changed = fit(instances=[{"fixed acidity": 1.0, "colour": "red", "count": 1, "more": 2}])
    assert 2 == changed["instances"][0]["more"]


def test_other_signatures_are_not_touched():
    assert COLUMNS.fit({"instances": [{"x": 1}]}, {"examples": dtypes.STRING}) is None
    assert Columns().fit({"instances": [{"x": 1}]}, INPUTS) is None


@pytest.mark.parametrize("text", ["", "[]", '{"columns": 3}', '{"columns": {}}', "\0"])
def test_a_damaged_file_says_nothing(tmp_path, text):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "columns.json").write_text(text)
    assert Columns() == read_columns(tmp_path)
    assert Columns() == read_columns(tmp_path / "elsewhere")


def test_names_of_a_version(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    stored = {"columns": {"fixed_acidity": "fixed acidity"}, "optional": ["fixed_acidity"]}
    (tmp_path / "assets.extra" / "columns.json").write_text(json.dumps(stored))
    assert Columns({"fixed acidity": "fixed_acidity"}, frozenset({"fixed_acidity"})) == read_columns(tmp_path)
