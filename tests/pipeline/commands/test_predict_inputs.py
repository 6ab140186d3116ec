"""What `predict` makes of its arguments and of an answer."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import predict
from pipeline.errors import PipelineError, UsageError
from pipeline.export.columns import COLUMNS_FILE
from serving.client.errors import unreachable_error
from serving.errors import ServingError


def tensor(dtype, *shape):
    return SimpleNamespace(dtype=SimpleNamespace(name=dtype), shape=(-1, *shape))


TABLE = {"serving_default": SimpleNamespace(inputs={"size": tensor("float"), "colour": tensor("string")})}
IMAGE = {"serving_default": SimpleNamespace(inputs={"image_bytes": tensor("string")})}


def asked(signatures, *inputs, signature="serving_default", folder=None):
    source = SimpleNamespace(signatures=signatures, folder=folder)
    return predict._parse_inputs(SimpleNamespace(name="plain", inputs=list(inputs)), signature, source)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a=b.png"
    path.write_bytes(b"\x89PNG")
    return str(path)


def test_files_are_rows_of_an_input_of_bytes(picture):
    assert {"image_bytes": [b"\x89PNG"] * 2} == asked(IMAGE, picture, picture)
    assert {"image_bytes": [b"\x89PNG"]} == asked(IMAGE, f"image_bytes={picture}")


def test_table_in_place_of_values_leads_to_the_option_of_tables():
    with pytest.raises(UsageError, match="--file IN --out OUT"):
        asked(TABLE, "rows.csv")


def test_server_that_is_not_there_says_how_to_start_one(monkeypatch):
    def refuse(*_):
        raise unreachable_error("http://127.0.0.1:8501", "Connection refused")

    monkeypatch.setattr(predict, "_connect", refuse)
    with pytest.raises(PipelineError, match=r"(?s)Connection refused.*Next: start one with `keraspipe serve`"):
        predict.ask_model(SimpleNamespace(name="plain"), None, ["serving_default"])


def test_named_values_are_one_row():
    assert {"size": [0.5], "colour": ["red"]} == asked(TABLE, "colour=red", "size=0.5")
    assert {"size": [2], "colour": ["a=b"]} == asked(TABLE, "size=2", "colour=a=b")
    assert {"size": [1], "colour": ["123"]} == asked(TABLE, "size=1", "colour=123")


@pytest.fixture
def version(tmp_path):
    """A version that says its columns."""
    (tmp_path / "assets.extra").mkdir()
    stored = {"columns": {"size": "the size (m)", "colour": "Colour"}, "optional": ["size", "colour"]}
    (tmp_path / "assets.extra" / "columns.json").write_text(json.dumps(stored))
    return tmp_path


def test_names_of_the_file_that_was_trained_on(version):
    expected = {"size": [0.5], "colour": ["red"]}
    assert expected == asked(TABLE, "the size (m)=0.5", "Colour=red", folder=version)
    assert expected == asked(TABLE, "Colour=red", "size=0.5", folder=version)
    with pytest.raises(UsageError, match="name each input once"):
        asked(TABLE, "size=1", "the size (m)=2", "colour=red", folder=version)
    with pytest.raises(UsageError, match="name each input once"):
        asked(TABLE, "size=1", "weight=2", folder=version)


@pytest.mark.parametrize(
    "inputs", [("colour=red",), ("colour=red", "size="), ("colour=red", "size=NaN"), ("size=null", "Colour=red")]
)
def test_values_that_may_be_missing(version, inputs):
    found = asked(TABLE, *inputs, folder=version)
    assert (["red"], True) == (found["colour"], np.isnan(found["size"][0]))
    assert [""] == asked(TABLE, "size=1", folder=version)["colour"]


@pytest.mark.parametrize("value", ["yesterday", "01/02/2024", "2024-13-01"])
def test_a_value_that_is_no_date_is_refused(version, value):
    path = version / "assets.extra" / "columns.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dates": ["colour"]}))
    with pytest.raises(UsageError, match=rf"The value of colour is no date\.\n.*YYYY-MM-DD(.*\n)*Received: {value}"):
        asked(TABLE, "size=1", f"Colour={value}", folder=version)
    for known in ("2024-01-31", "", "null"):
        assert asked(TABLE, "size=1", f"Colour={known}", folder=version)["colour"] in ([known], [""])


USER = {"serving_default": SimpleNamespace(inputs={"user_id": tensor("string")})}
TEXT = {"serving_default": SimpleNamespace(inputs={"text": tensor("string")})}


@pytest.fixture
def recommender(tmp_path):
    """A version whose users are in the column `user`."""
    (tmp_path / "assets.extra").mkdir()
    stored = {"columns": {"user_id": "user"}, "optional": [], "identifiers": ["user_id"]}
    (tmp_path / "assets.extra" / "columns.json").write_text(json.dumps(stored))
    return tmp_path


@pytest.mark.parametrize(("signatures", "given"), [(USER, "usr=42"), (USER, "customer=42"), (TEXT, "Txt=good film")])
def test_a_name_that_no_input_has_is_no_value(recommender, signatures, given):
    folder = recommender if signatures is USER else None
    name = "user" if signatures is USER else "text"
    with pytest.raises(UsageError) as caught:
        asked(signatures, given, folder=folder)
    assert f"There is no input {given.partition('=')[0]}." in str(caught.value)
    assert f"{name}={given.partition('=')[2]}, or where all of it is the value: {name}={given}" in str(caught.value)
    (value,) = asked(signatures, f"{name}={given}", folder=folder).values()
    assert [given] == value


def test_ids_of_versions_that_do_not_say_so_are_known_by_the_name_of_the_input():
    with pytest.raises(UsageError, match=r"Expected: user_id=VALUE, or VALUE alone\n"):
        asked(USER, "customer=42")
    assert {"user_id": ["42", "a b=c"]} == asked(USER, "42", "a b=c")


@pytest.mark.parametrize("text", ["e=mc2", "x = y", "test=1 fails", "=", "2=2", "next=page"])
def test_a_text_may_have_a_sign_of_equality(text):
    assert {"text": [text]} == asked(TEXT, text)


def test_the_name_that_is_meant_is_proposed():
    with pytest.raises(UsageError, match=r"Next: colr: did you mean colour\?"):
        asked(TABLE, "size=1", "colr=red")


BEAT = {"serving_default": SimpleNamespace(inputs={"beat": tensor("float", 3)})}


def test_vectors_stand_there_or_in_a_file(tmp_path):
    path = tmp_path / "beat.json"
    path.write_text("[1, 2.5, 3]")
    assert {"beat": [[1, 2.5, 3], [4, 5, 6]]} == asked(BEAT, str(path), "[4, 5, 6]")


@pytest.mark.parametrize(
    ("signatures", "inputs", "words"),
    [
        (TABLE, (), "INPUT for size, colour"),
        (TABLE, ("size=1",), "size=VALUE colour=VALUE"),
        (TABLE, ("size=1", "colour=red", "weight=2"), "Received: size=1 colour=red weight=2"),
        (TABLE, ("1", "red"), "The inputs do not fit plain"),
        (TABLE, ("size=large", "colour=red"), "Expected: size=NUMBER"),
        (TABLE, ("size=[1, 2]", "colour=red"), "The value of size has the wrong type or shape."),
        (BEAT, ("[1, 2]",), "Expected: beat=[NUMBER,…] of shape 3, or a .json file with it"),
        (BEAT, ("nowhere.json",), "Received: nowhere.json"),
        (IMAGE, ("absent.png",), "There is no file absent.png"),
    ],
)
def test_inputs_that_do_not_fit(signatures, inputs, words):
    with pytest.raises(UsageError) as caught:
        asked(signatures, *inputs)
    assert words in str(caught.value)


@pytest.fixture
def marked(tmp_path):
    """A version whose recipe names its missing values."""
    (tmp_path / "assets.extra").mkdir()
    stored = {"optional": ["size", "colour"], "missing": ["", "-999"]}
    (tmp_path / "assets.extra" / "columns.json").write_text(json.dumps(stored))
    return tmp_path


@pytest.mark.parametrize("text", ["-999", "", "n/a", "-", "null"])
def test_a_number_that_is_missing_in_training_is_missing(marked, text):
    row = asked(TABLE, f"size={text}", "colour=-999", folder=marked)
    assert np.isnan(row["size"]).all()
    assert [""] == row["colour"]


def test_what_is_a_value_in_training_is_one(marked):
    assert {"size": [-999.0], "colour": ["NA"]} == asked(TABLE, "size=-999.0", "colour=NA", folder=marked)
    assert {"size": [-999], "colour": ["red"]} == asked(TABLE, "size=-999", "colour=red")


def test_the_only_input_may_be_missing(marked):
    table = {"serving_default": SimpleNamespace(inputs={"size": tensor("float")})}
    first, second = asked(table, "-999", "3", folder=marked)["size"]
    assert np.isnan(first)
    assert 3 == second


def test_unknown_signature_names_the_others():
    with pytest.raises(UsageError, match="Expected: one of serving_default"):
        asked(TABLE, "size=1", signature="explain")


def test_plain_values_of_an_answer():
    assert ["a", [0.5, 1.5], 3] == [predict.to_json_value(x) for x in (b"a", np.array([0.5, 1.5]), np.int64(3))]
    assert [["a", "b"]] == predict.to_json_value(np.array([[b"a", b"b"]], object))


@pytest.mark.heavy
@given(st.recursive(st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=6))
def test_plain_values_stay_as_they_are(value):
    assert value == predict.to_json_value(value)


def test_values_for_people():
    assert "[0.5000 [x 3]]" == predict.format_value([0.5, ["x", 3]])


@pytest.mark.parametrize(
    ("message", "expected"),
    [("{{function_node f}} Bad size\nmore", "Bad size"), ("Not found", "Not found"), ("{{a}} {{b}} Oh", "Oh")],
)
def test_error_of_the_graph_in_words(message, expected):
    assert expected == ServingError(message).short_message


def test_rows_are_labelled_by_their_inputs():
    assert ["a", "b"] == predict.row_labels(["a", "b"], 2)
    assert ["row 0"] == predict.row_labels(["size=1", "colour=red"], 1)


@pytest.fixture
def german(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / COLUMNS_FILE).write_text(json.dumps({"form": {"decimal": ",", "thousands": "."}}))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "value"), [("12,5", 12.5), ("1.250,5", 1250.5), ("12.5", 12.5), ("1250", 1250), ("1250.0", 1250.0)]
)
def test_numbers_in_the_form_that_was_trained_on(german, text, value):
    assert {"size": [value], "colour": ["a"]} == asked(TABLE, f"size={text}", "colour=a", folder=german)


def test_a_number_that_can_be_read_in_two_ways_is_refused(german):
    assert 1.25 == asked(TABLE, "size=1.250", "colour=a")["size"][0]
    with pytest.raises(UsageError, match=r"can be read in two ways(.*\n)*Next: size=1250 or size=1\.25$"):
        asked(TABLE, "size=1.250", "colour=a", folder=german)
