"""What `predict --file` prints."""

from __future__ import annotations

import csv
import gzip
import io
import json
from argparse import ArgumentParser
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.batch_inference.columns import InputColumns, use_trained_encoding
from pipeline.commands import _predict_file
from pipeline.commands._predict_file import Source
from pipeline.export.columns import COLUMNS_FILE, describe_columns
from pipeline.formats.base import RenamedColumns
from pipeline.formats.csv import Csv
from pipeline.tables.dialect import Dialect
from serving.core.signature import Signature, TensorInfo
from serving.wire import dtypes

FLOAT = dtypes.from_number(1)
SIGNATURE = Signature(
    "serving_default", "predict", {"x": TensorInfo("x", FLOAT, (-1,))}, {"y": TensorInfo("y", FLOAT, (-1,))}, {}
)


@pytest.fixture
def printed(tmp_path):
    """Predicts for a table as text, of a model with the one input `x`; answers with what is printed."""

    def call(text, *flags):
        return predict(tmp_path, text.encode(), *flags).out.getvalue()

    return call


def predict(tmp_path, content, *flags, folder=None):
    """Predicts for the content of a table; answers with the terminal."""
    (tmp_path / "rows.csv").write_bytes(content)
    parser = ArgumentParser()
    _predict_file.arguments(parser)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args([f"--file={tmp_path / 'rows.csv'}", f"--out={tmp_path / 'out.csv'}", *flags])
    options.name, options.signature = "plain", "serving_default"

    def answer(_, inputs):
        return {"y": np.asarray(inputs["x"], np.float32)}

    terminal = SimpleNamespace(out=io.StringIO(), err=io.StringIO())
    assert 0 == _predict_file.predict_file(
        options, Source({"serving_default": SIGNATURE}, answer, folder=folder), terminal
    )
    return terminal


def test_columns_that_the_model_does_not_use_are_named(printed):
    text = printed("note,x,more\na,1,b\n")
    assert "Columns that the model does not use: note, more.\n" in text
    assert text.startswith("1 rows in ")


def test_of_many_columns_the_first_are_named(printed):
    names = [f"c{place}" for place in range(13)]
    text = printed(f"x,{','.join(names)}\n1{',0' * 13}\n")
    assert f"does not use: {', '.join(names[:10])} and 3 more.\n" in text


def test_nothing_is_said_of_columns_that_are_all_used(printed):
    assert "does not use" not in printed("x\n1\n")


def test_the_columns_are_also_in_json(printed):
    assert ["note"] == json.loads(printed("note,x\na,1\n", "--json"))["unused"]


@pytest.fixture
def trained(tmp_path):
    """The folder of a version that was trained on a file in an encoding."""

    def make(encoding, column="x"):
        data = Csv("x.csv", {column: "float"}, "y", encoding=encoding)
        data = RenamedColumns(data, {"x": column}) if column != "x" else data
        path = tmp_path / "version" / COLUMNS_FILE
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(describe_columns(data)))
        return tmp_path / "version"

    return make


def answers(tmp_path):
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("encoding", "town"), [("cp1252", "Köln €"), ("shift_jis", "東京"), ("gb18030", "路边")])
def test_a_file_is_read_in_the_encoding_that_was_trained_with(tmp_path, trained, encoding, town):
    terminal = predict(tmp_path, f"town,x\n{town},1\n".encode(encoding), folder=trained(encoding))
    assert (
        f"rows.csv is read in {encoding}, as the file that was trained on; --encoding names another.\n"
        == terminal.err.getvalue()
    )
    assert [town] == [row["town"] for row in answers(tmp_path)]


def test_so_are_the_names_of_the_columns(tmp_path, trained):
    predict(tmp_path, "Größe\n1\n2\n".encode("cp1252"), folder=trained("cp1252", "Größe"))
    assert ["1", "2"] == [row["Größe"] for row in answers(tmp_path)]


@pytest.mark.parametrize(
    ("content", "flags", "expected"),
    [
        ("town,x\nKöln,1\n".encode(), (), "Köln"),
        ("town,x\nKöln,1\n".encode("utf-8-sig"), (), "Köln"),
        ("town,x\nKöln,1\n".encode("utf-16"), (), "Köln"),
        (b"town,x\nBonn,1\n", (), "Bonn"),
        ("town,x\nŁódź,1\n".encode("cp1250"), ("--encoding", "cp1250"), "Łódź"),
    ],
    ids=["UTF-8", "UTF-8 with a mark", "UTF-16", "ASCII", "named"],
)
def test_what_the_file_or_an_option_says_comes_first(tmp_path, trained, content, flags, expected):
    terminal = predict(tmp_path, content, *flags, folder=trained("cp1252"))
    assert "" == terminal.err.getvalue()
    assert [expected] == [row["town"] for row in answers(tmp_path)]


def test_one_line_of_another_encoding_is_a_fault_of_that_line(tmp_path, trained):
    content = "town,x\nKöln,1\n".encode() + "Köln,2\n".encode("cp1252")
    terminal = predict(tmp_path, content, folder=trained("cp1252"))
    assert "" == terminal.err.getvalue()
    assert "Rows without a prediction: 1;" in terminal.out.getvalue()


def test_a_damaged_file_is_named_by_its_readers(tmp_path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress("town,x\nKöln,2\n".encode("cp1252"))[:-12])
    columns = InputColumns({"x": "float"}, encoding="cp1252")
    assert Dialect() == use_trained_encoding(path, Dialect(), columns)


def test_a_version_of_a_file_in_utf8_says_no_encoding(tmp_path, trained):
    folder = trained("")
    assert "encoding" not in json.loads((folder / COLUMNS_FILE).read_text())
    content = b"town,x\nBonn,1\n" + "Köln,2\n".encode("cp1252")
    assert "Rows without a prediction: 1;" in predict(tmp_path, content, folder=folder).out.getvalue()
