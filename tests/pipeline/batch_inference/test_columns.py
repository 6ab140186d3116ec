"""Which column of a table is which input, and how the answers are called."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pyarrow as pa
import pytest

from pipeline.batch_inference import columns, job, output
from pipeline.errors import PipelineError, UsageError
from pipeline.tables.dialect import Dialect
from serving.core.signature import Signature, TensorInfo
from serving.wire import dtypes

FLOAT, TEXT = dtypes.from_number(1), dtypes.STRING
STORED = {
    "columns": {"fixed_acidity": "fixed acidity", "colour": "Colour", "count": "count"},
    "optional": ["fixed_acidity", "colour"],
    "target": "quality",
    "classes": ["bad", "good"],
}
KINDS = {"fixed_acidity": (FLOAT, (-1,)), "colour": (TEXT, (-1,)), "count": (dtypes.from_number(9), (-1,))}
ANSWERS = {"label": (TEXT, (-1,)), "probabilities": (FLOAT, (-1, 2))}


def infos(side):
    return {name: TensorInfo(name, kind, shape) for name, (kind, shape) in side.items()}


SIGNATURE = Signature("serving_default", "predict", infos(KINDS), infos(ANSWERS), {})


@pytest.fixture
def predict(tmp_path):
    """Predicts for a table as text; answers with what the model was asked, and the output's rows."""
    (tmp_path / "model" / "assets.extra").mkdir(parents=True)
    (tmp_path / "model" / columns.COLUMNS_FILE).write_text(json.dumps(STORED))
    asked = []

    def answer(inputs):
        asked.extend(zip(*inputs.values(), strict=True))
        rows = len(inputs["count"])
        return {"label": np.array([b"good"] * rows, object), "probabilities": np.array([[0.25, 0.75]] * rows)}

    def call(text, name="rows.csv", dialect=None, encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        known = columns.read_input_columns(SIGNATURE.inputs, tmp_path / "model")
        request = job.Job(tmp_path / name, tmp_path / "out.jsonl", SIGNATURE, answer, "m@1", known, dialect)
        outcome = job.run(request, lambda rows: None)
        return asked, [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()], outcome

    return call


@pytest.mark.parametrize(
    "header",
    [
        "fixed acidity,Colour,count",
        "fixed_acidity,colour,count",
        "fixed acidity,colour,count",
        "Fixed-acidity,Colour,count",
    ],
)
def test_both_names_of_a_column(predict, header):
    text = header.replace("Fixed-acidity", "fixed_acidity") + "\n7.5,red,3\n"
    assert [(7.5, b"red", 3)] == predict(text)[0]


def test_answers_are_called_by_target_and_class(predict):
    _, (row,), _ = predict("fixed acidity,Colour,count,quality\n7.5,red,3,bad\n")
    assert ["fixed acidity", "Colour", "count", "quality"] == list(row)[:4]
    assert {"predicted_quality": "good", "probability_bad": 0.25, "probability_good": 0.75} == dict(
        list(row.items())[4:]
    )


def test_answers_next_to_columns_of_the_same_name(predict):
    _, (row,), outcome = predict("fixed acidity,Colour,count,predicted_quality\n7.5,red,3,bad\n")
    assert ["predicted_quality", "predicted_predicted_quality"] == [name for name in row if "quality" in name]
    assert ["predicted_quality"] == outcome.unused


def test_columns_that_are_missing_or_too_many_are_named(predict):
    with pytest.raises(PipelineError, match="lacks the columns fixed acidity, count") as caught:
        predict("fixed_acid,Colour\n7.5,red\n")
    assert "did you mean fixed_acid? Then rename it to fixed acidity" in str(caught.value)
    with pytest.raises(PipelineError, match="lacks the columns fixed acidity, count") as caught:
        predict("Fixed Acidity,Colour,COUNT\n7.5,red,3\n")
    assert "rename Fixed Acidity to fixed acidity, COUNT to count" in str(caught.value)
    assert ["note", "more"] == predict("note,fixed acidity,Colour,count,quality,more\na,1,red,3,bad,b\n")[2].unused


def test_missing_values_in_every_way(predict):
    rows = ['{"count": 1}', '{"count": 2, "Colour": null, "fixed acidity": null}', '{"count": 3, "fixed acidity": ""}']
    rows += [
        '{"count": 4, "fixed acidity": NaN}',
        '{"count": 5, "fixed acidity": "n/a", "colour": "NA"}',
        '{"colour": ""}',
    ]
    asked, _, outcome = predict("\n".join(rows), "rows.jsonl")
    assert [(True, b"", number) for number in range(1, 6)] == [(math.isnan(x), text, n) for x, text, n in asked]
    assert 1 == outcome.bad


def test_objects_may_leave_out_what_may_be_missing(predict):
    asked, _, outcome = predict('{"count": 1}\n{"count": 2, "quality": "bad"}\n', "rows.jsonl")
    assert ([1, 2], ["fixed_acidity", "colour"], []) == ([row[2] for row in asked], outcome.lacking, outcome.unused)


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        ('{"q": 1}\n{"w": 2}', "columns fixed acidity, Colour, count"),
        ('{"Colour": "red"}', "columns fixed acidity, count"),
        ('{"count": 1, "Colour": "red", "acid": 3}', "column fixed acidity"),
        ('[{"count": 1, "colur": "red"}, {"fixed acidity": 3}]', "column Colour"),
    ],
)
def test_what_no_object_has_is_refused_as_in_other_files(predict, rows, lost):
    with pytest.raises(PipelineError, match=f"lacks the {lost}"):
        predict(rows, "rows.jsonl")


def test_members_that_the_first_object_lacks_are_in_the_output(predict):
    _, (first, second), _ = predict(
        '{"count": 1, "Colour": "red", "fixed acidity": 1}\n{"count": 2, "id": 7}', "a.jsonl"
    )
    assert (None, "7") == (first["id"], second["id"])


def test_where_no_line_is_an_object_each_has_its_reason(predict):
    assert 2 == predict("[1\nno", "rows.jsonl")[2].bad


def test_a_text_that_is_no_date_is_named(predict, tmp_path):
    """It would count as missing in the model."""
    stored = STORED | {"dates": ["colour"]}
    (tmp_path / "model" / columns.COLUMNS_FILE).write_text(json.dumps(stored))
    cells = ["2024-01-31", "", "n/a", "31.01.2024 10:00", "yesterday", "01/02/2024"]
    asked, _, outcome = predict("fixed acidity,Colour,count\n" + "".join(f"1,{cell},3\n" for cell in cells))
    assert (4, 2) == (len(asked), outcome.bad)
    lines = (tmp_path / "out.jsonl.bad.jsonl").read_text().splitlines()
    words = "(write YYYY-MM-DD or DD.MM.YYYY, perhaps with a time HH:MM)"
    expected = [f"column Colour is no date: '{cell}' {words}" for cell in cells[4:]]
    assert expected == [json.loads(line)["reason"] for line in lines]


def test_a_row_that_is_short_lacks_what_may_be_missing(predict):
    asked, _, _ = predict("count,fixed acidity,Colour\n3\n4,1\n")
    assert [3, 4] == [row[2] for row in asked]


def test_sound_rows_of_a_file_in_another_encoding_are_answered(predict, tmp_path):
    text = "fixed acidity,Colour,count,note\n1,red,1,Köln\n2,red,2,ok\n"
    asked, _, outcome = predict(text, encoding="latin-1")
    assert ([2.0], 1) == ([row[0] for row in asked], outcome.bad)
    (bad,) = map(json.loads, (tmp_path / "out.jsonl.bad.jsonl").read_text().splitlines())
    assert (
        "column note is not in the file's encoding, 'K\\xf6ln'; in cp1252 it is 'Köln'; see --encoding" == bad["reason"]
    )
    asked, rows, outcome = predict(text, "other.csv", Dialect(encoding="latin-1"), encoding="latin-1")
    assert (["Köln", "ok"], 0) == ([row["note"] for row in rows], outcome.bad)


def test_a_file_that_is_written_otherwise_than_the_one_that_was_trained_on(predict):
    asked, rows, _ = predict("Export\n\nfixed acidity;Colour;count\n" + "1.234,5;red;3\n" * 9)
    assert [(1234.5, b"red", 3)] * 9 == asked
    assert "1.234,5" == rows[0]["fixed acidity"]


def test_numbers_that_can_be_read_in_two_ways_are_refused(predict):
    text = "fixed acidity;Colour;count\n" + "1,234;red;3\n" * 9
    with pytest.raises(UsageError, match="--thousands , or --decimal ,"):
        predict(text)
    assert 1.234 == pytest.approx(predict(text, "b.csv", Dialect(decimal=","))[0][0][0])


@pytest.mark.parametrize("way", ["same", "symbolic", "hard", "dots", "bad rows", "inside"])
def test_the_output_is_never_the_input(tmp_path, way):
    path, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    path.write_text("a\n1\n")
    if way == "symbolic":
        out.symlink_to(path)
    elif way == "hard":
        os.link(path, out)
    elif way == "bad rows":
        path = tmp_path / "out.csv.bad.jsonl"
        path.write_text("{}")
    elif way == "inside":
        path = tmp_path
    else:
        out = path if way == "same" else tmp_path / "x" / ".." / "rows.csv"
        (tmp_path / "x").mkdir()
    with pytest.raises(UsageError, match="Next: name another file with --out"):
        job.require_other_file(path, out)


def test_another_output_is_fine(tmp_path):
    (tmp_path / "rows.csv").write_text("a\n1\n")
    job.require_other_file(tmp_path / "rows.csv", tmp_path / "out.csv")


def test_answers_of_a_model_that_does_not_say_its_columns(tmp_path):
    known = columns.read_input_columns(SIGNATURE.inputs, None)
    found = output.infer_columns(tmp_path / "t.csv", {"label": "x"}, SIGNATURE.outputs, known)
    assert ["label", "predicted_label", "probabilities"] == found.schema.names
    assert pa.list_(pa.float32()) == found.schema.field("probabilities").type
