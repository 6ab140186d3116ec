"""CSV files: declared columns, missing values, and rows that cannot be used."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.csv import Csv, read_blocks, read_rows
from pipeline.tables.number_forms import MISSING_TEXTS

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


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1).filter(
    lambda x: x not in MISSING_TEXTS
)


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
INTS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("cells", ["inf,1", "1e999,1", "1e39,1", "1_0,1", f"1,{2**63}", "1,1_0"])
def test_numbers_that_no_feature_holds_are_faults(rows, cells):
    (found,) = rows(f"{','.join(DATA.columns)},kind\n{cells},red,{DATA.classes[0]}\n")
    assert "is not of kind" in found.fault


def test_texts_for_missing_values(rows):
    found = rows("size,count,colour,kind\nNA,?,null,small\n NaN ,N/A,nan,large\n1,2,na,NA\n")
    assert [{"kind": b"small"}, {"kind": b"large"}] == [one.features for one in found[:2]]
    assert "the label kind is empty: 'NA' means a missing value unless classes= names it" == found[2].fault


def test_own_texts_for_missing_values(rows):
    data = Csv("table.csv", {"country": "bytes"}, "kind", ("small",), missing=("-",))
    found = rows("country,kind\nNA,small\n-,small\n", data)
    assert [{"country": b"NA", "kind": b"small"}, {"kind": b"small"}] == [one.features for one in found]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiter_is_found_in_the_header(rows, delimiter):
    (one,) = rows(
        f'size,count,"col,our",kind\n1,2,"a{delimiter}b",small\n'.replace(",", delimiter).replace(
            f"col{delimiter}our", "colour"
        )
    )
    assert {"size": 1.0, "count": 2, "colour": f"a{delimiter}b".encode(), "kind": b"small"} == one.features


def test_delimiter_that_is_given(rows):
    data = Csv("table.csv", {"a;b": "float"}, "kind", ("x",), delimiter=",")
    (one,) = rows("a;b;c;d,kind,a;b\n1,x,2\n", data)
    assert {"a;b": 2.0, "kind": b"x"} == one.features


def test_gzip_and_official_test_file(tmp_path):
    data = Csv("train.csv.gz", {"size": "float"}, "kind", ("x", "y"), test="test.tsv.gz")
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(b"size,kind\n1,x\n"))
    (tmp_path / "test.tsv.gz").write_bytes(gzip.compress(b"kind\tsize\ny\t2\n"))
    found = [(one.split, one.features) for one in data.examples(tmp_path)]
    assert [("train", {"size": 1.0, "kind": b"x"}), ("test", {"size": 2.0, "kind": b"y"})] == found
    assert ["train.csv.gz", "test.tsv.gz"] == [path.name for path in data.files(tmp_path)]


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(b"size,kind\n" + b"1,x\n" * 5000)
    (tmp_path / "table.csv.gz").write_bytes(whole[:-20])
    data = Csv("table.csv.gz", {"size": "float"}, "kind", ("x",))
    with pytest.raises(PipelineError, match="cannot be read completely"):
        list(data.examples(tmp_path))


def test_bytes_that_are_no_text_are_a_fault_of_their_row(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"size,count,colour,kind\n1,2,gr\xfcn,small\n1,2,red,small\n")
    first, second = DATA.examples(tmp_path)
    assert "column colour is not in the file's encoding, 'gr\\xfcn'; in cp1252 it is 'grün'" == first.fault
    assert b"red" == second.features["colour"]


def test_row_with_more_cells_than_the_header(rows):
    first, second = rows("size,count,colour,kind\n1,2,red,small,5\n1,2,red,small\n")
    assert "5 cells, expected 4" == first.fault
    assert "" == second.fault


def test_cell_that_the_reader_refuses_costs_only_its_row(rows):
    limit = csv.field_size_limit()
    found = rows(f"size,count,colour,kind\n1,2,{'x' * (limit + 1)},small\n1,2,red,small\n")
    assert ["field larger than field limit (131072)", ""] == [one.fault for one in found]


def test_column_that_is_there_twice_gets_a_number(rows):
    data = Csv("table.csv", {"size": "float", "size_2": "float"}, "kind", ("small",))
    (one,) = rows("size,size,kind\n1,2,small\n", data)
    assert {"size": 1.0, "size_2": 2.0, "kind": b"small"} == one.features


def test_kind_that_does_not_exist(rows):
    with pytest.raises(PipelineError, match="Received: number"):
        rows("size,kind\n1,x\n", Csv("table.csv", {"size": "number"}, "kind", ("x",)))


def test_time_of_each_row(rows):
    data = Csv("table.csv", {"size": "float"}, "kind", ("x",), time="day", extra={"who": "bytes"})
    first, second = rows("day,who,size,kind\n29.2.2024,me,1,x\nlater,me,1,x\n", data)
    assert ("2024-02-29T00:00:00",) * 2 == (first.begins, first.ends)
    assert {"size": 1.0, "kind": b"x", "who": b"me"} == first.features
    assert {"size": "float"} == data.inputs
    assert "column day is not a date: 'later'" == second.fault


@given(st.binary(max_size=200))
def test_no_content_ends_in_another_error(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    (folder / "table.csv").write_bytes(b"size,count,colour,kind\n" + content)
    for one in DATA.examples(folder):
        assert one.fault or one.features["kind"]


@pytest.mark.heavy
@given(st.lists(st.tuples(FLOATS, INTS, CELLS, st.sampled_from(DATA.classes))))
def test_what_is_written_is_read(tmp_path_factory, table):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([[*DATA.columns, "kind"], *table])
    folder = tmp_path_factory.getbasetemp()
    (folder / "table.csv").write_text(buffer.getvalue(), encoding="utf-8", newline="")
    found = [tuple(one.features.values()) for one in DATA.examples(folder)]
    assert [(size, count, colour.encode(), kind.encode()) for size, count, colour, kind in table] == found


def test_a_header_that_comes_again_is_no_row(tmp_path):
    path = tmp_path / "joined.csv"
    path.write_text("a,kind\n1,x\n a,kind\n2,y\n", encoding="utf-8")
    rows = list(read_rows(path))
    assert ["", "", "the header again", ""] == [fault for _, _, fault in rows]
    assert [["1", "2"], ["x", "y"]] == list(next(read_blocks(path)).values())


def test_a_delimiter_at_the_end_of_rows_shifts_no_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("target,a,b\n" + "no,0.5,-1.5,\n" * 20)
    rows = list(read_rows(path))
    assert ["target", "a", "b"] == rows[0][1]
    assert (["no", "0.5", "-1.5"], "") == rows[1][1:]


def test_dots_that_group_digits(rows):
    (one,) = rows("size;kind\n18.834;x\n", Csv("table.csv", {"size": "float"}, "kind", ("x",), thousands="."))
    assert {"size": 18834.0, "kind": b"x"} == one.features


def test_rows_below_a_header_in_another_order_are_read_by_it(tmp_path):
    """As files that were put together have it; the last ones begin with a byte order mark, too."""
    text = "a,b,c\n1,2,3\nc,a,b\n3,1,2\n3,1\n\ufeffb,c,a\n2,3,1\n\ufeffa,b,c\n1,2,3\nb,a,x\n"
    (tmp_path / "t.csv").write_text(text)
    rows = list(read_rows(tmp_path / "t.csv"))
    assert [["1", "2", "3"], ["1", "", "3"]] == [rows[place][1] for place in (3, 4)]
    assert all(cells == ["1", "2", "3"] for _, cells, _ in (rows[1], rows[3], rows[6], rows[8]))
    assert ["b", "a", "x"] == rows[9][1]
    again = [(line, fault) for line, _, fault in rows if fault]
    words = "the header again, in another order: "
    assert [(3, words + "c, a, b"), (6, words + "b, c, a"), (8, "the header again")] == again


def test_texts_below_a_header_that_comes_again_are_no_proof_of_data(tmp_path):
    texts = "".join(f"{name},{city}\n" for name in "ABCDE" for city in ("Rome", "Oslo"))
    (tmp_path / "t.csv").write_text(f"name,city\n{texts}city,name\nOslo,A\n")
    rows = list(read_rows(tmp_path / "t.csv"))
    assert (["name", "city"], ["A", "Oslo"]) == (rows[0][1], rows[-1][1])


def test_two_byte_order_marks(tmp_path):
    (tmp_path / "t.csv").write_text('\ufeff\ufeff"a, b",c\n1,2\n')
    assert ["a, b", "c"] == next(read_rows(tmp_path / "t.csv"))[1]


def test_a_nul_character_is_a_fault(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\nx,1\nx\0y,2\n\0,3\nx,4\n")
    faults = [fault for _, _, fault in read_rows(tmp_path / "t.csv")]
    assert ["", "", "a NUL character, which no text has", "a NUL character, which no text has", ""] == faults
