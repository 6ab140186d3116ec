"""What is found out about the columns of a table, whatever its format."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.formats import columns, table
from pipeline.formats.column_tally import DistinctSketch
from pipeline.formats.columns import Column, inspect_table


@pytest.fixture
def found(tmp_path):
    """Looks at columns of values written as CSV."""

    def make(**values):
        with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([list(values), *zip(*values.values(), strict=True)])
        return {column.name: column for column in inspect_table(tmp_path / "table.csv")}

    return make


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", "0"], "int"),
        (["1", "", "3"], "float"),
        (["1", "2.5"], "float"),
        (["1e3", "NA"], "float"),
        (["1", "x"], "bytes"),
        (["007", "123"], "bytes"),
        (["1_0", "2"], "bytes"),
        ([str(2**63), "1"], "float"),
        (["inf", "1"], "bytes"),
        (["", "?"], "bytes"),
    ],
)
def test_kind(found, values, kind):
    assert kind == found(x=values, y=["row"] * len(values))["x"].kind


def test_all_that_is_said_of_a_column(found):
    column = found(x=["b", "", "a", "b"], y=[1, 1, 1, 1])
    assert Column("x", "bytes", rows=4, missing=1, distinct=2, values=("b", "a")) == column["x"]
    assert Column("y", "int", rows=4, missing=0, distinct=1, values=("1",), constant=True) == column["y"]


def test_order_is_that_of_the_table(found):
    assert ["z", "a", "m"] == list(found(z=[1], a=[2], m=[3]))


def test_dates_free_text_and_ids(found):
    n = 50
    column = found(
        day=[f"2024-01-{i % 28 + 1:02}" for i in range(n)],
        words=[f"this is the sentence number {i}" for i in range(n)],
        name=[f"person-{i * 7 % n}" for i in range(n)],
        row=range(10, 10 + n),
        user_id=[i * 17 % 101 for i in range(n)],
        area=[i * 17 % 101 for i in range(n)],
        price=[i / 7 for i in range(n)],
        colour=["light sky blue", "dark red wine"] * (n // 2),
    )
    assert {"day"} == {name for name, one in column.items() if one.date}
    assert {"words"} == {name for name, one in column.items() if one.free_text}
    assert {"name", "row", "user_id"} == {name for name, one in column.items() if one.id_like}


def test_missing_values_are_counted_behind_the_sample(tmp_path):
    path = tmp_path / "long.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n" + b"1,a\n" * 10_000 + b",b\n" * 10_000))
    x, y = inspect_table(path, sampled_rows=1000)
    assert ("float", 20_000, 10_000) == (x.kind, x.rows, x.missing)
    assert (("a",), 0) == (y.values, y.missing)


def test_many_values_are_an_estimate_and_are_not_kept(found):
    column = found(x=[f"v{i}" for i in range(20_000)])["x"]
    assert () == column.values
    assert 18_000 < column.distinct < 20_001


def test_members_of_json_lines(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"a": 1, "v": [1, 2.5]}, {"a": None, "v": [3, None], "late": "x", "deep": {"b": 1}}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nbroken\n")
    a, v, late, deep = inspect_table(path)
    assert ("float", 1) == (a.kind, a.missing)
    assert ("float[2]", 0) == (v.kind, v.missing)
    assert ("bytes", 1, 2) == (late.kind, late.missing, late.rows)
    assert ("", 1) == (deep.kind, deep.missing)


def test_a_few_lists_among_numbers_leave_the_column_what_it_is(tmp_path):
    """Empty ones are missing; rows with others cannot be used, and a run lists them."""
    rows = [{"x": 1.5, "name": "a", "list": [1, 2]} for _ in range(97)]
    rows += [
        {"x": {}, "name": [], "list": [3, 4]},
        {"x": [], "name": "b", "list": []},
        {"x": {"value": 2}, "name": "a"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    x, name, numbers = inspect_table(tmp_path / "rows.jsonl")
    assert [("float", 2), ("bytes", 1), ("float[2]", 2)] == [(c.kind, c.missing) for c in (x, name, numbers)]
    layout = table.Layout({"x": "float", "name": "bytes"}, "name", frozenset())
    made = [layout.example("line", row) for row in rows[-3:]]
    assert ["the label name is empty", "", "column x is not of kind float: {'value': 2}"] == [row.fault for row in made]
    assert {"name": b"b"} == made[1].features


def test_types_of_a_parquet_file(tmp_path):
    table = pa.table(
        {
            "code": pa.array(["1", "2"]),
            "count": pa.array([1, None], pa.int32()),
            "share": pa.array([1, 2], pa.float32()),
            "day": pa.array([0, 1], pa.date32()),
            "wave": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
            "deep": pa.array([{"a": 1}, None]),
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    found = inspect_table(tmp_path / "t.parquet")
    assert ["bytes", "float", "float", "bytes", "float[2]", ""] == [column.kind for column in found]
    assert ["day"] == [column.name for column in found if column.date]
    assert inspect_table(tmp_path) == found


def test_empty_table(tmp_path):
    (tmp_path / "t.csv").write_text("")
    assert [] == inspect_table(tmp_path / "t.csv")


def test_unknown_ending_and_no_file(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(PipelineError, match=r"Received: t\.xlsx"):
        inspect_table(tmp_path / "t.xlsx")
    with pytest.raises(PipelineError, match="There is no file"):
        inspect_table(tmp_path / "t.csv")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)  # a row with a NUL cannot be used
CELLS = st.lists(TEXTS | st.integers().map(str) | st.floats().map(str))


@pytest.mark.heavy
@given(CELLS)
def test_declared_as_found_every_cell_is_usable(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["x", "y"], *([cell, "1"] for cell in cells)])
    for column in inspect_table(path):
        data = columns.csv.Csv(path.name, {column.name: column.kind}, "y")
        assert [""] * column.rows == [one.fault for one in data.examples(path.parent)]
        assert column.missing == sum(column.name not in one.features for one in data.examples(path.parent))


@given(st.lists(st.text()))
def test_few_values_are_counted_exactly(texts):
    sketch = DistinctSketch()
    for text in texts:
        sketch.add(text)
    assert len(set(texts)) == sketch.count


def test_a_sample_of_many_columns_has_fewer_rows(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "1,a\n" * 60 + "x,b\n" * 60)
    monkeypatch.setattr(columns.table, "BLOCK_CELLS", 20)
    assert ["bytes", "bytes"] == [column.kind for column in inspect_table(path)]
    monkeypatch.setattr(columns, "SAMPLED_CELLS", 100)
    x, y = inspect_table(path)
    assert ("int", 120, 1) == (x.kind, x.rows, y.distinct)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_blocks_hold_few_rows_of_many_columns(tmp_path, monkeypatch, name):
    width, rows = 50, 30
    names = [f"c{place}" for place in range(width)]
    if name == "t.csv":
        (tmp_path / name).write_text("\n".join([",".join(names), *[",".join("1" * width)] * rows]))
    elif name == "t.jsonl":
        (tmp_path / name).write_text("\n".join([json.dumps(dict.fromkeys(names, 1))] * rows))
    else:
        parquet.write_table(pa.table({column: [1] * rows for column in names}), tmp_path / name)
    monkeypatch.setattr(columns.table, "BLOCK_CELLS", 10 * width)
    sizes = [len(block["c0"]) for block in columns._read_blocks(tmp_path / name, None)]
    assert rows == sum(sizes)
    assert max(sizes) <= 11
