"""CSV files: declared columns, missing values, and rows that cannot be used."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.csv import Csv
from pipeline.errors import PipelineError

DATA = Csv("table.csv", {"size": "float", "count": "int", "colour": "bytes"}, "kind", ("small", "large"))


@pytest.fixture
def rows(tmp_path):
    def read(text, data=DATA, encoding="utf-8"):
        (tmp_path / "table.csv").write_text(text, encoding=encoding, newline="")
        return list(data.examples(tmp_path))

    return read


def test_declared_columns_in_their_kinds(rows):
    (one,) = rows("extra,size,colour,count,kind\nx, 1.5 ,grün,3,small\n")
    assert {"size": 1.5, "count": 3, "colour": "grün".encode(), "kind": b"small"} == one.features
    assert "" == one.fault


def test_byte_order_mark_is_no_part_of_a_name(rows):
    (one,) = rows("size,count,colour,kind\n1,2,red,small\n", encoding="utf-8-sig")
    assert "" == one.fault
    assert 1.0 == one.features["size"]


def test_empty_cells_and_short_rows_are_missing_values(rows):
    first, second = rows("kind,count,size,colour\nsmall,, ,\nlarge,2\n")
    assert {"kind": b"small"} == first.features
    assert {"kind": b"large", "count": 2} == second.features
    assert ["", ""] == [first.fault, second.fault]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("big,2,red,small", "column size is not of kind float: 'big'"),
        ("1,2.5,red,small", "column count is not of kind int: '2.5'"),
        ("1,2,red,", "the label kind is empty"),
        ("1,2,red", "the label kind is empty"),
    ],
)
def test_unusable_row_carries_its_fault_and_line(rows, row, fault):
    one, two = rows(f"size,count,colour,kind\n{row}\n1,2,red,small\n")
    assert fault == one.fault
    assert one.source.endswith("table.csv line 2")
    assert "" == two.fault


def test_lines_are_counted_as_an_editor_counts_them(rows):
    found = rows('size,count,colour,kind\n\n1,2,"two\nlines",small\nbad,2,red,small\n')
    assert [4, 5] == [int(one.source.rpartition(" ")[2]) for one in found]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("size,count,kind", "lacks the column colour"),
        ("size,Count,kind", "lacks the columns count, colour"),
        ("", "Received: an empty file"),
    ],
)
def test_missing_columns(rows, header, words):
    with pytest.raises(PipelineError, match="Next: add the column") as caught:
        rows(header + "\n" * bool(header))
    assert words in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing at that path"):
        DATA.files(tmp_path)
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(PipelineError, match="Received: a folder"):
        DATA.files(tmp_path)


def test_label_that_is_a_number(rows):
    data = Csv("table.csv", {"size": "float"}, "price")
    found = rows("size,price\n1,2.5\n1,much\n", data)
    assert {"size": 1.0, "price": 2.5} == found[0].features
    assert "column price is not of kind float: 'much'" == found[1].fault


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("cells", ["nan,1", "inf,1", f"1,{2**63}"])
def test_numbers_that_no_feature_holds_are_faults(rows, cells):
    (found,) = rows(f"{','.join(DATA.columns)},kind\n{cells},red,{DATA.classes[0]}\n")
    assert "is not of kind" in found.fault


@given(st.lists(st.tuples(FLOATS, INTS, CELLS, st.sampled_from(DATA.classes))))
def test_what_is_written_is_read(tmp_path_factory, table):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([[*DATA.columns, "kind"], *table])
    folder = tmp_path_factory.getbasetemp()
    (folder / "table.csv").write_text(buffer.getvalue(), encoding="utf-8", newline="")
    found = [tuple(one.features.values()) for one in DATA.examples(folder)]
    assert [(size, count, colour.encode(), kind.encode()) for size, count, colour, kind in table] == found
