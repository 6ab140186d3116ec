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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batch_inference.columns import InputColumns, find_dialect, use_trained_encoding
from pipeline.batch_inference.trained_form import use_trained_form
from pipeline.commands import _predict_file
from pipeline.commands._predict_file import Source
from pipeline.errors import UsageError
from pipeline.export.columns import COLUMNS_FILE, describe_columns
from pipeline.formats.base import RenamedColumns
from pipeline.formats.csv import Csv
from pipeline.tables.dialect import Dialect, plain_number
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
    """The folder of a version that was trained on a file in an encoding, or with other options of `Csv`."""

    def make(encoding="", column="x", **options):
        data = Csv("x.csv", {column: "float"}, "y", encoding=encoding, **options)
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


GERMAN, ENGLISH = {"decimal": ",", "thousands": "."}, {"decimal": ".", "thousands": ","}
AS_TRAINED = (
    "rows.csv: x '{}' is read as {}, as in the file that was trained on; --decimal and --thousands name a form.\n"
)
OTHERWISE = (
    "rows.csv: x '{}' is read as {}, for its numbers have another form than those trained on; "
    "--decimal and --thousands name a form.\n"
)


def predicted(tmp_path):
    return [float(row["y"]) for row in answers(tmp_path)]


@pytest.mark.parametrize(
    ("options", "text", "expected", "said"),
    [
        (GERMAN, "x;b\n1.250;3\n950,5;2\n", [1250, 950.5], ""),
        (GERMAN, "x;b\n1.250;3\n950;2\n", [1250, 950], AS_TRAINED.format("1.250", 1250)),
        (GERMAN, "x;b\n1.250,5;3\n950,5;2\n", [1250.5, 950.5], ""),
        ({"thousands": "."}, "x;b\n1.250;3\n9,125;2\n", [1250, 9.125], AS_TRAINED.format("1.250", 1250)),
        (GERMAN, "x,b\n950.5,2\n7,3\n", [950.5, 7], ""),
        (GERMAN, "x,b\n950.5,2\n1.250,3\n", [950.5, 1.25], OTHERWISE.format("1.250", 1.25)),
        (GERMAN, 'x,b\n"1,250.5",2\n"1,250",3\n', [1250.5, 1250], OTHERWISE.format("1,250.5", 1250.5)),
        (ENGLISH, 'x,b\n"1,250",2\n7,3\n', [1250, 7], AS_TRAINED.format("1,250", 1250)),
        ({"thousands": ","}, "x;b\n1,250;2\n7;3\n", [1250, 7], AS_TRAINED.format("1,250", 1250)),
        ({"decimal": ","}, "x;b\n1,250;2\n7;3\n", [1.25, 7], AS_TRAINED.format("1,250", 1.25)),
        ({"decimal": ","}, "x;b\n1.250;2\n9,5;3\n", [1.25, 9.5], AS_TRAINED.format("1.250", 1.25)),
        ({"decimal": ","}, "x;b\n1.250;2,5\n2.500;3,5\n", [1.25, 2.5], AS_TRAINED.format("1.250", 1.25)),
        ({"decimal": "."}, "x;b\n1.250;2\n7;3\n", [1.25, 7], ""),
        ({"thousands": "'"}, "x;b\n1'250;2\n7.125;3\n", [1250, 7.125], ""),
        ({"delimiter": "^"}, "b^x\n1,5^2\n1,7^3\n", [2, 3], ""),
        ({"delimiter": ";"}, "b,x\n1,2\n1,3\n", [2, 3], ""),
    ],
)
def test_numbers_are_read_as_trained_where_they_can_be(tmp_path, trained, options, text, expected, said):
    terminal = predict(tmp_path, text.encode(), folder=trained(**options))
    assert expected == predicted(tmp_path)
    assert said == terminal.err.getvalue()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(["--decimal=."], 1.25), (["--thousands=,"], 1.25), (["--thousands=."], 1250), (["--decimal=,"], 1250)],
)
def test_options_come_before_what_was_trained_with(tmp_path, trained, flags, expected):
    predict(tmp_path, b"x;b\n1.250;3\n950;2\n", *flags, folder=trained(**GERMAN))
    assert [expected, 950] == predicted(tmp_path)


@pytest.mark.parametrize("options", [{}, {"decimal": "."}], ids=["no form", "a form that does not fit"])
def test_what_training_does_not_answer_is_asked(tmp_path, trained, options):
    with pytest.raises(UsageError, match="can be read in two ways"):
        predict(tmp_path, b"x;b\n1,250;3\n", folder=trained(**options))


def group_digits(number, places, decimal, thousands):
    """Writes a number of thousandths."""
    whole, rest = divmod(number, 1000)
    digits = f"{whole:,}".replace(",", thousands)
    return digits + (decimal + f"{rest:03}"[:places] if places else "")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([(d, t) for d in ",." for t in ("", ",", ".", " ", "'") if d != t]),
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 3)), min_size=1, max_size=8),
)
def test_a_file_in_the_form_that_was_trained_with_is_read_so(tmp_path, form, numbers):
    cells = [group_digits(number, places, *form) for number, places in numbers]
    (tmp_path / "rows.csv").write_text("x;b\n" + "".join(f"{cell};1\n" for cell in cells))
    columns = InputColumns({"x": "float"}, form=Dialect("", "", *form))
    dialect, _ = use_trained_form(tmp_path / "rows.csv", Dialect(), columns)
    dialect = find_dialect(tmp_path / "rows.csv", dialect, columns)
    expected = [group_digits(number, places, ".", "") for number, places in numbers]
    assert expected == [plain_number(cell, dialect.decimal, dialect.thousands) for cell in cells]


MARKS = ("", "?", "<LOD", "inf", "-999", "-999.0")


def test_cells_that_are_missing_in_training_are_missing(tmp_path, trained):
    cells = ["-999", "-999.0", "<LOD", "inf", "-", "?", "n/a", "0.5"]
    terminal = predict(
        tmp_path, "".join(f"{cell},1\n" for cell in ["x", *cells]).encode(), folder=trained(missing=MARKS)
    )
    assert [""] * 7 + ["0.5"] == [row["y"].replace("nan", "") for row in answers(tmp_path)]
    assert "Rows without a prediction" not in terminal.out.getvalue()


def test_a_cell_that_training_would_refuse_is_refused(tmp_path, trained):
    terminal = predict(tmp_path, b"x,b\n<LOQ,1\ninf,1\n?,1\n-999,1\n", folder=trained(missing=("", "-999")))
    assert "Rows without a prediction: 3;" in terminal.out.getvalue()
    terminal = predict(tmp_path, b"x,b\n<LOD,1\n-999,1\n?,1\n", folder=None)
    assert "Rows without a prediction: 1;" in terminal.out.getvalue()
    assert [-999] == [float(row["x"]) for row in answers(tmp_path) if row["x"] != "?"]
