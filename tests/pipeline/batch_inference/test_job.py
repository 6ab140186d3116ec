"""Bulk jobs on real files; the model is a function, so that it can fail where a test wants it to."""

from __future__ import annotations

import csv
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch_inference import job as bulk
from pipeline.batch_inference import output
from pipeline.batch_inference.columns import read_input_columns
from pipeline.batch_inference.rows import predict_rows
from pipeline.errors import PipelineError, UsageError
from pipeline.features import image
from pipeline.store.fileio import lock
from serving.core.signature import Signature, TensorInfo
from serving.errors import InvalidArgument, Unavailable
from serving.wire import dtypes

FLOAT, INT, TEXT = dtypes.from_number(1), dtypes.from_number(9), dtypes.STRING


def signature(inputs, outputs):
    infos = [
        {name: TensorInfo(name, kind, shape) for name, (kind, shape) in side.items()} for side in (inputs, outputs)
    ]
    return Signature("serving_default", "predict", *infos, {})


TABLE = signature(
    {"x": (FLOAT, (-1,)), "n": (INT, (-1,)), "word": (TEXT, (-1,))},
    {"word": (TEXT, (-1,)), "sums": (FLOAT, (-1, 2))},
)


def add(inputs):
    if b"poison" in inputs["word"]:
        raise InvalidArgument("{{function_node f}} no antidote\nmore")
    x, n = np.array(inputs["x"], np.float32), np.array(inputs["n"])
    return {"word": np.array([w.upper() for w in inputs["word"]], object), "sums": np.stack([x + n, x - n], 1)}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a job over the given file with parts of eight rows and batches of three."""
    monkeypatch.setattr(bulk, "PART_ROWS", 8)
    monkeypatch.setattr(bulk, "BATCH_ROWS", 3)

    def call(path, out="out.jsonl", *, asked=TABLE, ask=add, model="m@1", folder=None):
        progress = []
        outcome = bulk.run(
            bulk.Job(path, tmp_path / out, asked, ask, model, read_input_columns(asked.inputs, folder)), progress.append
        )
        return outcome, progress

    return call


@pytest.fixture
def table(tmp_path):
    """A CSV file of 20 rows, three of them bad."""
    lines = [[i + 0.5, i, f"w{i}", "kept"] for i in range(20)]
    lines[4][0], lines[11][2], lines[19][1] = "no number", "poison", 2.5
    lines[7][0] = ""
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["x", "n", "word", "note"], *lines])
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_next_to_their_rows_and_bad_rows_aside(run, table, tmp_path):
    outcome, progress = run(table)
    found = read(tmp_path / "out.jsonl")
    assert (20, 3, 0, [0, 8, 16, 20]) == (outcome.rows, outcome.bad, outcome.resumed, progress)
    assert [f"w{i}" for i in range(20) if i not in (4, 11, 19)] == [row["word"] for row in found]
    assert {"x": "0.5", "n": "0", "word": "w0", "note": "kept", "predicted_word": "W0", "sums": [0.5, 0.5]} == found[0]
    assert [str(value) for value in (np.nan, np.nan)] == [str(value) for value in found[6]["sums"]]
    bad = read(tmp_path / "out.jsonl.bad.jsonl")
    assert [(4, "line 6"), (11, "line 13"), (19, "line 21")] == [(one["row"], one["place"]) for one in bad]
    assert ["column x is no float: 'no number' (another kind of value)", "no antidote"] == [
        b["reason"] for b in bad[:2]
    ]
    assert "poison" == bad[1]["cells"]["word"]
    assert {"rows.csv", "out.jsonl", "out.jsonl.bad.jsonl"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("out", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_formats_say_the_same(run, table, tmp_path, out):
    run(table, out)
    path = tmp_path / out
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        rows = read(path)
    else:
        delimiter = "," if path.suffix == ".csv" else "\t"
        rows = list(csv.DictReader(path.read_text().splitlines(), delimiter=delimiter))
        rows = [{**row, "sums": json.loads(row["sums"])} for row in rows]
    assert 17 == len(rows)
    assert ("W3", [6.5, 0.5]) == (rows[3]["predicted_word"], rows[3]["sums"])


@pytest.mark.parametrize("fatal", [Unavailable("gone"), KeyboardInterrupt()])
def test_an_interrupted_job_goes_on_where_it_was(run, table, tmp_path, fatal):
    asked = Counter()

    def dying(inputs):
        if b"w17" in inputs["word"] and not asked[b"w17"]:
            asked[b"w17"] += 1
            raise fatal
        asked.update(inputs["word"])
        return add(inputs)

    with pytest.raises(type(fatal)):
        run(table, ask=dying)
    assert not (tmp_path / "out.jsonl").exists()
    before = asked.copy()
    outcome, progress = run(table, ask=dying)
    assert (16, [16, 20]) == (outcome.resumed, progress)
    assert before[b"w0"] == asked[b"w0"]
    whole = read(tmp_path / "out.jsonl")
    run(table)
    assert whole == read(tmp_path / "out.jsonl")


@pytest.mark.parametrize("change", ["model", "file"])
def test_another_question_begins_anew(run, table, change):
    def away(inputs):
        if b"w17" in inputs["word"]:
            raise Unavailable("gone")
        return add(inputs)

    with pytest.raises(Unavailable):
        run(table, ask=away)
    if change == "file":
        table.write_text(table.read_text() + "1,2,more,\n")
    outcome, _ = run(table, model="m@2" if change == "model" else "m@1")
    assert 0 == outcome.resumed


def test_types_of_parquet_stay(run, tmp_path):
    columns = {"x": pa.array([1.5, None]), "n": pa.array([1, 2], pa.int32()), "word": ["a", "b"], "tags": [["p"], []]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    run(tmp_path / "rows.parquet", "out.parquet")
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert ["x", "n", "word", "tags", "predicted_word", "sums"] == schema.names
    assert [pa.float64(), pa.int32(), pa.string()] == [schema.field(name).type for name in ("x", "n", "word")]
    assert pa.list_(pa.float32()) == schema.field("sums").type


def test_true_and_false_of_parquet_are_written_as_the_classes_are(run, tmp_path):
    columns = {"x": [1.5, 2.5, 3.5], "n": [1, 2, 3], "word": ["a", "b", "c"], "sold": [True, False, None]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    run(tmp_path / "rows.parquet", "out.csv")
    with (tmp_path / "out.csv").open() as file:
        assert ["true", "false", ""] == [row["sold"] for row in csv.DictReader(file)]


IMAGE = signature({"image_bytes": (TEXT, (-1,))}, {"size": (INT, (-1,)), "copy_bytes": (TEXT, (-1,))})


def measure(inputs):
    return {"size": np.array([len(b) for b in inputs["image_bytes"]]), "copy_bytes": np.array(inputs["image_bytes"])}


def test_a_folder_of_files(run, tmp_path):
    folder = tmp_path / "images"
    (folder / "inside").mkdir(parents=True)
    (folder / "b.png").write_bytes(b"12")
    (folder / "inside" / "a.png").write_bytes(b"1")
    (folder / ".hidden").write_bytes(b"123")
    run(folder, asked=IMAGE, ask=measure)
    assert [
        {"file": "b.png", "size": 2, "copy_bytes": {"b64": "MTI="}},
        {"file": "inside/a.png", "size": 1, "copy_bytes": {"b64": "MQ=="}},
    ] == read(tmp_path / "out.jsonl")
    with pytest.raises(UsageError, match="several"):
        run(folder)


@pytest.mark.parametrize("out", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_an_answer_that_is_a_picture_is_a_file_next_to_a_text(run, tmp_path, out):
    folder = tmp_path / "images"
    folder.mkdir()
    picture = image.encode_png(np.zeros((2, 3), np.uint8))
    (folder / "a.png").write_bytes(picture)
    (folder / "b.png").write_bytes(b"none")
    run(folder, out, asked=IMAGE, ask=measure)
    if out.endswith("parquet"):
        assert picture == pq.read_table(tmp_path / out)["copy_bytes"][0].as_py()
        assert not list(tmp_path.glob("*-pictures"))
        return
    assert f"{out}-pictures/0-copy_bytes.png" in (tmp_path / out).read_text()
    assert picture == (tmp_path / f"{out}-pictures/0-copy_bytes.png").read_bytes()
    assert ["0-copy_bytes.png"] == [file.name for file in (tmp_path / f"{out}-pictures").iterdir()]


def test_pictures_of_an_earlier_output_are_gone_and_other_files_stay(run, tmp_path):
    folder, pictures = tmp_path / "images", tmp_path / "out.jsonl-pictures"
    folder.mkdir()
    pictures.mkdir()
    for name in ("7-copy_bytes.png", "note.txt"):
        (pictures / name).write_bytes(b"before")
    (folder / "a.png").write_bytes(image.encode_png(np.zeros((2, 3), np.uint8)))
    run(folder, asked=IMAGE, ask=measure)
    assert {"0-copy_bytes.png", "note.txt"} == {file.name for file in pictures.iterdir()}


def test_a_file_where_the_pictures_would_lie_is_said_before(tmp_path):
    (tmp_path / "out.csv-pictures").touch()
    with pytest.raises(UsageError, match=r"There is a file out.csv-pictures"):
        output.check_format(tmp_path / "out.csv")


def test_files_named_in_a_table(run, tmp_path):
    (tmp_path / "a.png").write_bytes(b"123")
    lines = [
        {"image_bytes": "a.png"},
        {"image_bytes": "gone.png"},
        {"image_bytes": {"b64": "MTI="}},
        {"image_bytes": 5},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nno json\n")
    outcome, _ = run(tmp_path / "rows.jsonl", asked=IMAGE, ask=measure)
    assert [3, 2] == [row["size"] for row in read(tmp_path / "out.jsonl")]
    reasons = [one["reason"] for one in read(tmp_path / "out.jsonl.bad.jsonl")]
    assert (5, 3) == (outcome.rows, outcome.bad)
    assert ["No such file" in reasons[0], "another kind" in reasons[1], "not JSON" in reasons[2]] == [True] * 3


def test_what_cannot_be_begun(run, table, tmp_path):
    (tmp_path / "empty.csv").write_text("x,n,word\n")
    with pytest.raises(PipelineError, match="no rows"):
        run(tmp_path / "empty.csv")
    for path, out in ((tmp_path / "gone.csv", "out.csv"), (table.with_suffix(".xls"), "out.csv"), (table, "out.xls")):
        with pytest.raises(UsageError, match="Received"):
            run(path, out)
    with lock(tmp_path / ".out.jsonl.lock"), pytest.raises(PipelineError, match="another process"):
        run(table)


def test_a_missing_column_is_named_before_any_row(run, tmp_path):
    (tmp_path / "rows.csv").write_text("x,word\n1,a\n2,b\n")
    with pytest.raises(PipelineError, match="lacks the column n"):
        run(tmp_path / "rows.csv")


@given(st.lists(st.sampled_from([0, 1, 2, -1]), min_size=1, max_size=40))
def test_only_rows_at_fault_get_no_answer(numbers):
    def ask(inputs):
        if -1 in inputs["x"]:
            raise InvalidArgument("negative")
        return {"y": np.array(inputs["x"]) * 2}

    found = list(predict_rows([{"x": number} for number in numbers], ask))
    assert ["negative" if number < 0 else {"y": 2 * number} for number in numbers] == found
