"""Parquet: streamed by row groups, types from the file's schema."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.formats.columns import inspect_table
from pipeline.formats.parquet import Parquet, column_kinds, read_blocks
from pipeline.formats.read_table import read_rows

DATA = Parquet("t.parquet", {"size": "float", "colour": "bytes", "wave": "float[2]"}, "kind", ("0", "1"), time="day")
TABLE = pa.table(
    {
        "size": pa.array([1.5, None, float("nan")]),
        "colour": pa.array(["red", None, "grün"]).dictionary_encode(),
        "wave": pa.array([[1, 2], [3, None], None], pa.list_(pa.int64())),
        "kind": [0, 1, 1],
        "day": [dt.datetime(2024, 1, 31, 12, 30, tzinfo=dt.UTC)] * 3,
        "more": [{"deep": 1}] * 3,
    }
)


def test_rows_in_their_kinds(tmp_path):
    parquet.write_table(TABLE, tmp_path / "t.parquet", row_group_size=1)
    one, two, three = DATA.examples(tmp_path)
    assert {"size", "colour", "wave", "kind"} == one.features.keys()
    assert (1.5, b"red", b"0") == (one.features["size"], one.features["colour"], one.features["kind"])
    assert [1.0, 2.0] == list(one.features["wave"])
    assert ("2024-01-31T12:30:00", "2024-01-31T12:30:00") == (one.begins, one.ends)
    assert {"wave", "kind"} == two.features.keys()
    assert "column wave is not of kind float[2]: None" == three.fault
    assert three.source.endswith("t.parquet row 3")


def test_folder_of_files_and_official_test(tmp_path):
    data = Parquet("train", {"x": "int"}, "y", test="test.parquet")
    (tmp_path / "train").mkdir()
    for name, x in (("train/b", 2), ("train/a", 1), ("test", 3)):
        parquet.write_table(pa.table({"x": [x], "y": [0.5]}), tmp_path / f"{name}.parquet")
    found = [(one.split, one.features) for one in data.examples(tmp_path)]
    assert [("train", {"x": 1, "y": 0.5}), ("train", {"x": 2, "y": 0.5}), ("test", {"x": 3, "y": 0.5})] == found


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"size": "float[3]"}, "Received: float"),
        ({"wave": "float"}, r"Received: float\[\]"),
        ({"more": "bytes"}, "Received: nested values"),
        ({"absent": "float"}, "lacks the column absent"),
    ],
)
def test_column_of_another_type(tmp_path, columns, words):
    parquet.write_table(TABLE, tmp_path / "t.parquet")
    with pytest.raises(PipelineError, match=words):
        list(Parquet("t.parquet", columns, "kind", ("0", "1")).examples(tmp_path))


def test_damaged_files(tmp_path):
    parquet.write_table(TABLE, tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    for damaged in (content[:-1], content[:4] + b"\xff" * 200 + content[204:], b""):
        (tmp_path / "t.parquet").write_bytes(damaged)
        with pytest.raises(PipelineError, match="cannot be read completely"):
            list(DATA.examples(tmp_path))


def test_no_file(tmp_path):
    with pytest.raises(PipelineError, match="a Parquet file, or a folder"):
        DATA.files(tmp_path)


def test_folders_that_name_a_column(tmp_path):
    for site, year in (("north", "2023"), ("so%20uth", "2024"), ("__HIVE_DEFAULT_PARTITION__", "2024")):
        folder = tmp_path / "data" / f"site={site}" / f"year={year}"
        folder.mkdir(parents=True)
        parquet.write_table(pa.table({"a": [1.0], "kind": ["x"]}), folder / "part.parquet")
    (tmp_path / "data" / "_temporary").mkdir()
    (tmp_path / "data" / "_temporary" / "part.parquet").write_bytes(b"half written")
    data = Parquet("data", {"a": "float", "site": "bytes", "year": "int"}, "kind", ("x",))
    found = [one.features for one in data.examples(tmp_path)]
    assert [(None, 2024), (b"north", 2023), (b"so uth", 2024)] == [(row.get("site"), row["year"]) for row in found]
    assert ["a", "kind", "site", "year"] == [column.name for column in inspect_table(tmp_path / "data")]


def test_the_folders_above_a_single_file_name_what_it_lacks(tmp_path):
    folder = tmp_path / "a=9" / "site=north"
    folder.mkdir(parents=True)
    parquet.write_table(pa.table({"a": [1.0], "kind": ["x"]}), folder / "part.parquet")
    data = Parquet("a=9/site=north/part.parquet", {"a": "float", "site": "bytes"}, "kind", ("x",))
    assert [(1.0, b"north")] == [(row.features["a"], row.features["site"]) for row in data.examples(tmp_path)]
    assert ["north"] == [row["site"] for _, row, _ in read_rows(folder / "part.parquet", ["a", "site"])]


@pytest.mark.parametrize(
    ("folder", "value"),
    [
        ("m=01", 1),
        ("m=2024-01-31", dt.date(2024, 1, 31)),
        ("m=2024-01-31", dt.datetime.fromisoformat("2024-01-31")),
        ("m=True", True),
    ],
)
def test_a_folder_that_says_what_its_file_says(tmp_path, folder, value):
    write_part(tmp_path / folder, value)
    assert [1.0] == [one.features["a"] for one in Parquet(".", {"a": "float"}, "kind", ("x",)).examples(tmp_path)]
    assert ["a", "kind", "m"] == sorted(column.name for column in inspect_table(tmp_path))


@pytest.mark.parametrize(("folder", "value"), [("m=2", 1), ("m=north", "south"), ("m=1", 12), ("m=x", None)])
def test_a_folder_that_contradicts_its_file_is_refused(tmp_path, folder, value):
    write_part(tmp_path / folder, value)
    with pytest.raises(PipelineError, match=r"column m of .*part.parquet is not what the file's folder says") as caught:
        inspect_table(tmp_path)
    assert f"Received: {value}" in str(caught.value)


def write_part(folder, value):
    folder.mkdir()
    parquet.write_table(pa.table({"a": [1.0], "kind": ["x"], "m": [value]}), folder / "part.parquet")


def test_two_columns_of_one_name_are_refused(tmp_path):
    values = [pa.array([1.0]), pa.array([2.0]), pa.array([3.0])]
    parquet.write_table(pa.Table.from_arrays(values, names=["x", "x", "y"]), tmp_path / "twins.parquet")
    for read in (column_kinds, lambda path: list(read_blocks(path))):
        with pytest.raises(PipelineError, match="several columns of one name"):
            read(tmp_path / "twins.parquet")
