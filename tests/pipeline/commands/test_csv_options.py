"""How a CSV file is written, as options of `new` and of `predict --file`."""

from __future__ import annotations

import csv
import io
import json
import random

import numpy as np
import pytest

from pipeline import cli
from pipeline.commands import _csv_options, _predict_file
from pipeline.console import Terminal
from pipeline.errors import UsageError
from pipeline.export.columns import COLUMNS_FILE, FORECAST_FILE
from pipeline.tables.dialect import Dialect
from serving.core.signature import Signature, TensorInfo
from serving.wire import dtypes


def read(*arguments):
    return _csv_options.read_dialect(cli.parse(["new", "mine", "--data", "x.csv", *arguments]))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), Dialect()),
        (("--encoding", "cp1252"), Dialect(encoding="cp1252")),
        (("--delimiter", ";"), Dialect(";")),
        (("--delimiter", "tab"), Dialect("\t")),
        (("--delimiter", "blank"), Dialect(" ")),
        (("--decimal", ",", "--thousands", "."), Dialect(decimal=",", thousands=".")),
        (("--thousands", "blank"), Dialect(thousands=" ")),
        (("--thousands", "apostrophe"), Dialect(thousands="'")),
        (("--header", "3"), Dialect(header=3)),
        (("--header", "no"), Dialect(header=0)),
        (("--header", "0"), Dialect(header=0)),
    ],
    ids=str,
)
def test_what_the_options_say(arguments, expected):
    assert expected == read(*arguments)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (("--encoding", "utf-9"), "utf-9"),
        (("--encoding", "base64"), "base64"),
        (("--delimiter", ";;"), ";;"),
        (("--decimal", ";"), "';'"),
        (("--thousands", "_"), "'_'"),
        (("--decimal", ",", "--thousands", ","), "','"),
        (("--header", "first"), "first"),
        (("--header=-1",), "-1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_wrong_usage(arguments, received):
    with pytest.raises(UsageError) as caught:
        read(*arguments)
    assert f"\nReceived: {received}\n" in str(caught.value)
    assert "\nExpected: " in str(caught.value)
    assert "\nNext: correct " in str(caught.value)


OPTIONS = ("--encoding", "cp1252", "--delimiter", ";", "--decimal", ",", "--thousands", ".", "--header", "2")


@pytest.fixture
def german(tmp_path):
    """A table as a German program writes it, below a title."""
    drawn = random.Random(1)
    rows = [["Größe", "Sorte", "Preis"]]
    rows += [[f"1.{drawn.randint(100, 999)},5", drawn.choice(["süß", "herb"]), f"{place},25"] for place in range(120)]
    path = tmp_path / "german.csv"
    with path.open("w", newline="", encoding="cp1252") as file:
        file.write("Ausfuhr vom 3. März\n")
        csv.writer(file, delimiter=";").writerows(rows)
    return path


def test_new_reads_the_file_so_and_writes_it_into_the_recipe(german, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERASPIPE_RECIPES", str(tmp_path / "recipes"))
    assert cli.main(["new", "mine", "--data", str(german), "--target", "Sorte", *OPTIONS]) == 0
    lines = [line.strip() for line in (tmp_path / "recipes" / "mine.py").read_text(encoding="utf-8").splitlines()]
    expected = ['delimiter=";",', 'encoding="cp1252",', 'decimal=",",', 'thousands=".",', "header=2,"]
    assert set(expected) <= set(lines)
    assert any("süß" in line for line in lines)
    assert "number: scaled" in capsys.readouterr().out


def source(inputs, predict, folder=None):
    known = {name: TensorInfo(name, kind, (-1,)) for name, kind in inputs.items()}
    outputs = {"value": TensorInfo("value", dtypes.from_number(1), (-1,))}
    signature = Signature("serving_default", "predict", known, outputs, {})
    signatures = {"serving_default": signature}
    return _predict_file.Source(signatures, lambda _, rows: predict(rows), "mine@1", folder)


def predict(path, out, answering):
    command = ["predict", "mine", "--file", str(path), "--out", str(out), *OPTIONS]
    terminal = Terminal(io.StringIO(), io.StringIO())
    assert _predict_file.predict_file(cli.parse(command), answering, terminal) == 0
    with out.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_predict_reads_the_file_so(german, tmp_path):
    inputs = {"Größe": dtypes.from_number(1), "Sorte": dtypes.STRING}

    def double(rows):
        assert set(rows["Sorte"]) <= {"süß".encode(), b"herb"}
        return {"value": 2 * np.array(rows["Größe"], np.float32)}

    rows = predict(german, tmp_path / "out.csv", source(inputs, double))
    assert len(rows) == 120
    first = rows[0]["Größe"]
    assert float(rows[0]["value"]) == 2 * float(first.replace(".", "").replace(",", "."))


@pytest.fixture
def series(tmp_path):
    """A model that forecasts: its folder."""
    layout = {"time": ["Tag"], "time_input": "Tag", "key": [], "order": "", "texts": {}, "target": "Größe"}
    layout |= {"numbers": {"value": "Größe"}, "length": 3, "horizon": 1}
    (tmp_path / FORECAST_FILE).parent.mkdir()
    (tmp_path / FORECAST_FILE).write_text(json.dumps(layout))
    return tmp_path


def test_a_forecast_reads_the_file_so(series, tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("Stand: heute\nTag;Größe\n2024-01-01;1.001,5\n2024-01-02;2.002,5\n", encoding="cp1252")

    def repeat(rows):
        assert rows["value"].tolist() == [[1001.5, 2002.5]]
        return {"forecast": rows["value"][:, -1:], "time": np.array([[b"2024-01-03T00:00:00"]], object)}

    rows = predict(path, tmp_path / "out.csv", source({"value": dtypes.from_number(1)}, repeat, tmp_path))
    assert rows == [{"Tag": "2024-01-03", "predicted_Größe": "2002.5"}]


def test_a_forecast_reads_numbers_and_missing_values_as_trained(series, tmp_path):
    stored = {"columns": {"value": "Größe"}, "form": {"thousands": "."}, "missing": ["-999"]}
    (series / COLUMNS_FILE).write_text(json.dumps(stored))
    path = tmp_path / "series.csv"
    path.write_text("Tag;Größe\n2024-01-01;1.001\n2024-01-02;-999\n2024-01-03;\n2024-01-04;2.002\n")

    def repeat(rows):
        np.testing.assert_array_equal([[np.nan, np.nan, 2002]], rows["value"])
        return {"forecast": rows["value"][:, -1:], "time": np.array([[b"2024-01-05T00:00:00"]], object)}

    answering = source({"value": dtypes.from_number(1)}, repeat, series)
    terminal = Terminal(io.StringIO(), io.StringIO())
    command = ["predict", "mine", "--file", str(path), "--out", str(tmp_path / "out.csv")]
    assert _predict_file.predict_file(cli.parse(command), answering, terminal) == 0
    assert "Größe '1.001' is read as 1001, as in the file that was trained on" in terminal.err.getvalue()
