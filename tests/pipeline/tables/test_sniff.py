"""How a file of separated values is written, found in the file: delimiter, header, numbers, encoding."""

from __future__ import annotations

import csv
import gzip
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import PipelineError, UsageError
from pipeline.formats.csv import Csv, read_rows
from pipeline.tables import sniff
from pipeline.tables.dialect import Dialect, plain_number
from pipeline.tables.header import is_data, is_second_header, make_header
from pipeline.tables.number_forms import find_numbers, is_number, parse_number

RANDOM = random.Random(1)
ROWS = 60
TITLE = "Line 3 is the header; the title above it is passed over."
NUMBERS = [[f"{RANDOM.gauss(5, 2):.2f}" for _ in range(3)] for _ in range(ROWS)]
NUMBERED = [[str(number), *row[:2]] for number, row in enumerate(NUMBERS, 1)]
SUMS = [["1.234,5", "12,75"]] * ROWS


def lines(rows, delimiter=",", header=""):
    return header + "".join(delimiter.join(row) + "\n" for row in rows)


@pytest.fixture
def found(tmp_path):
    def look(text, encoding="utf-8", known=None, names=()):
        (tmp_path / "t.csv").write_bytes(text.encode(encoding))
        return sniff.find_dialect(tmp_path / "t.csv", known, names)

    return look


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (lines(NUMBERS, header="a,b,c\n"), 1),
        (lines(NUMBERS), 0),
        (lines([[*row, "setosa"] for row in NUMBERS]), 0),
        (lines([RANDOM.choices("xbs", k=4) for _ in range(ROWS)]), 0),
        (lines(NUMBERS, header="name,2019,2020\n"), 1),
        (lines(NUMBERS, header=",0,1\n"), 1),
        (lines(NUMBERS, header="400.5,401,401.5\n"), 1),
        (lines(NUMBERS, header="Export of 2024-01-01\n\na,b,c\n"), 3),
        (lines(NUMBERS, header="Sales, of 2024\n\na,b,c\n"), 3),
        (lines(NUMBERS, header="Export,,\n,,\na,b,c\n"), 3),
        (lines(NUMBERED, header='"a","b"\n'), 1),  # as R writes it: no name for the names of the rows
        (lines([["hello"]] * ROWS, header="text\n"), 1),
        (lines([["a", "x"]] * 3, header="k,v\n"), 1),
        ("", 1),
    ],
    ids=range(14),
)
def test_header(found, text, header):
    assert header == found(text).dialect.header


def test_a_header_is_known_by_the_columns_that_it_has(found):
    text = "Export,of,2024\n1,2,3\n" + lines(NUMBERS, header="a,b,c\n")
    assert 3 == found(text, names=["c", "a"]).dialect.header


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (lines(NUMBERS, ";", "a;b;c\n"), ";"),
        (lines(NUMBERS, "\t", "a\tb\tc\n"), "\t"),
        (lines(NUMBERS, "   "), " "),
        (lines([[" 18.0   8  ", '"ford torino"']] * ROWS, "\t"), " "),
        (lines([["0,5", "1,25"]] * ROWS, ";", "a;b\n"), ";"),
        (lines([["0,5", "1,25"]] * ROWS, ";"), ";"),
        (lines([["0,5", "1,25"]] * ROWS, ";", "Export: a, b; c\n\na;b\n"), ";"),
        (lines([["1", '"p;q"', "some words"]] * ROWS, ",", "a,b,c\n"), ","),
        (lines([["1"], ["1", "2", "3"]] * 9, ",", "a,b,c\n"), ","),
    ],
    ids=range(9),
)
def test_delimiter(found, text, delimiter):
    assert delimiter == found(text).dialect.delimiter


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands", "unclear"),
    [
        (["0,500", "1,000"], ",", "", False),
        (["1,5", "1234"], ",", "", False),
        (["1.234,5", "2"], ",", ".", False),
        (["1,234,567", "2"], "", ",", False),
        (["1,234.5", "2"], "", ",", False),
        (["1 234", "999"], "", " ", False),
        (["1'234.5", "2"], "", "'", False),
        (["1\u202f234,50", "2"], ",", " ", False),
        (["1,234", "999"], "", "", True),
        (["1.234", "2.5"], "", "", False),
        (["1,5", "x"], "", "", False),
        (["1-2", "1,5"], "", "", False),
    ],
)
def test_form_of_numbers(found, cells, decimal, thousands, unclear):
    result = found(lines([["x", cell] for cell in cells * 30], ";", "n;v\n"))
    assert (decimal, thousands) == (result.dialect.decimal, result.dialect.thousands)
    assert ({"v": cells[0]} if unclear else {}) == result.unclear


def test_what_is_said_is_not_looked_for(found):
    known = Dialect(";", "latin-1", ".", ",", 1)
    result = found(lines(NUMBERS), known=known)
    assert known == result.dialect
    assert () == result.notes


def test_notes_say_what_is_not_as_usual(found):
    result = found(lines(SUMS, ";", "Export\n\na;b\n"), "utf-16")
    assert ("The file is utf-16.", TITLE) == result.notes[:2]
    assert "Decimals begin with a comma (--decimal . for the other reading)." == result.notes[2]
    assert "'.' groups digits." == result.notes[3]
    assert "There is no header" in found(lines(NUMBERS)).notes[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_that_a_file_shows(found, encoding, tmp_path):
    found(lines([["größe", "1"]] * 3, header="a,b\n"), encoding)
    assert ["a", "b"] == next(read_rows(tmp_path / "t.csv"))[1]
    assert ["größe", "1"] == list(read_rows(tmp_path / "t.csv"))[1][1]


def test_a_name_that_comes_again_gets_a_number():
    assert ["a", "a_3", "", "_2", "a_2", "a_4"] == make_header(["a", "a", "", "", "a_2", "a"], [])


def test_names_that_come_again_are_said(found):
    assert ("Names that come again in the header got a number: a_2.",) == found(lines(NUMBERS, header="a,a,b\n")).notes


def test_rows_of_empty_cells_are_faults(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n,\n\n, \n3,\n")
    assert ["", "", "an empty row", "an empty row", ""] == [fault for _, _, fault in read_rows(tmp_path / "t.csv")]


def test_names_of_rows_as_r_writes_them():
    numbered = [[str(number), "2", "x"] for number in range(1, 10)]
    assert ["", "a", "b"] == make_header(["a", "b"], numbered)
    assert ["", "a", "b"] == make_header(
        ["a", "b"], [[f"{number}", "2", "x"] for number in range(1, 90) if number != 7]
    )
    named = [[f"Car {number}", "2", "3"] for number in range(9)]
    assert ["", "a", "b"] == make_header(["a", "b"], named)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("size,price", [["1.5", "2", "u"]] * 9),  # the header lacks the last name
        ("id,price", [[str(number), "2", "u"] for number in range(1, 10)]),
        ("product,note,price", [[f"Lamp {number}", "nice", "bright", "5"] for number in range(9)]),  # "nice, bright"
        ("name,rooms,price", [[f"Lee {number}", "Ann", "2", "5"] for number in range(9)]),
    ],
)
def test_a_cell_too_many_is_no_name_of_a_row(found, header, rows):
    assert header.split(",") == make_header(header.split(","), rows)
    with pytest.raises(UsageError, match=r"Line 1 of .* has . names, and the rows have . cells") as caught:
        found(lines(rows, header=header + "\n"))
    assert "add the name that is missing" in str(caught.value)
    assert 1 == found(lines(rows, header=header + "\n"), known=Dialect(header=1)).dialect.header


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (r'"a \"big\", red box"', 'a "big", red box'),
        (r'"the \"one\""', 'the "one"'),
        (r'"pipe 5\""', 'pipe 5"'),
        (r'"C:\\data"', r"C:\data"),
        (r"\N", r"\N"),
        ('"doubled ""quotes"""', 'doubled "quotes"'),
    ],
)
def test_quotes_behind_a_backslash(found, tmp_path, cell, text):
    result = found(lines([[r'"so \"called\" names"', "1"], [cell, "2"]] * 9, header="a,b\n"))
    assert (r'A backslash precedes quotes within quotes, as in "so \"called\" names".',) == result.notes
    assert [text, "2"] == list(read_rows(tmp_path / "t.csv"))[2][1]


@pytest.mark.parametrize("cell", [r'"C:\data\"', '"a ""b"" c"', r'"say \""no\"""', r"5\" pipe", r'"ends \" '])
def test_a_backslash_that_precedes_nothing(found, tmp_path, cell):
    assert () == found(lines([[cell, "1"]] * 9, header="a,b\n")).notes
    expected = next(csv.reader([cell]))[0].strip()
    assert [expected, "1"] == list(read_rows(tmp_path / "t.csv"))[1][1]


def test_what_stands_below_the_table_is_a_fault(tmp_path):
    text = lines([["a", "1", "x"]] * 30, header="k,v,w\n") + "Total,30,\n\nSource: office\n"
    (tmp_path / "t.csv").write_text(text)
    faults = [fault for _, _, fault in read_rows(tmp_path / "t.csv")]
    assert [""] * 31 + ["below the table: 'Total, 30'", "below the table: 'Source: office'"] == faults


def test_a_sparse_table_has_no_footer(tmp_path):
    (tmp_path / "t.csv").write_text(lines([["a", "", ""], ["b", "1", "x"]] * 30 + [["c", "", ""]], header="k,v,w\n"))
    assert not any(fault for _, _, fault in read_rows(tmp_path / "t.csv"))


def test_a_last_row_that_lacks_its_first_cell_is_no_footer(tmp_path):
    (tmp_path / "t.csv").write_text(lines([["a", "1"]] * 30 + [["", "1"]], header="k,v\n"))
    assert not any(fault for _, _, fault in read_rows(tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_text(lines([["a", "1"]] * 30 + [["seen in May", ""]], header="k,v\n"))
    assert "below the table: 'seen in May'" == [fault for _, _, fault in read_rows(tmp_path / "t.csv")][-1]


def test_numbers_in_the_form_of_the_file(tmp_path):
    (tmp_path / "t.csv").write_text("a;b;y\n1.234,5;2,5e3;x\n12,5;-1.000;x\n1,2,3;1;x\n")
    data = Csv("t.csv", {"a": "float", "b": "float"}, "y", ("x",), decimal=",", thousands=".")
    first, second, third = data.examples(tmp_path)
    assert {"a": 1234.5, "b": 2500.0, "y": b"x"} == first.features
    assert {"a": 12.5, "b": -1000.0, "y": b"x"} == second.features
    assert "column a is not of kind float: '1,2,3'" == third.fault


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "klingon"}, "There is no encoding 'klingon'"),
        ({"encoding": "hex"}, "There is no encoding 'hex'"),
        ({"decimal": ";"}, "Expected: '.' or ','"),
        ({"thousands": "x"}, "cannot be written with this thousands"),
        ({"decimal": ",", "thousands": ","}, "Expected: two different characters"),
        ({"header": -1}, "no such line for a header"),
    ],
)
def test_what_no_file_is_written_with(options, words):
    with pytest.raises(PipelineError, match="Next: correct") as caught:
        Dialect(**options)
    assert words in str(caught.value)


@given(st.text("+-.,eE0123456789", max_size=9) | st.decimals(-(10**9), 10**9, places=2).map("{:,}".format))
def test_what_is_a_number_has_a_value(cell):
    if is_number(cell):
        parse_number(cell)


@pytest.mark.parametrize(
    ("cell", "value"), [("1.5", 1.5), ("1,5", 1.5), ("1.234,56", 1234.56), ("1.234.567,8", 1234567.8), (",5e1", 5.0)]
)
def test_value_of_a_number(cell, value):
    assert value == parse_number(cell)


def test_a_first_row_of_large_sums_is_data():
    assert is_data(["224.855,19", "x"], [["1.234,56", "x"]] * 9)


@pytest.mark.parametrize("title", ["", "Umfrage von 2024;;\n", "Umfrage\n\n"])
def test_decimal_commas_are_no_delimiter_below_a_title(found, title):
    rows = [[f"{RANDOM.gauss(170, 9):.1f}".replace(".", ","), "yes", *"dcba" * 3, "103,55"] for _ in range(ROWS)]
    names = ["size", "active", *(f"q{place}" for place in range(12)), "price"]
    finding = found(title + lines([names, *rows], ";"))
    assert (";", ",", tuple(names)) == (finding.dialect.delimiter, finding.dialect.decimal, finding.columns)


def test_a_text_that_is_called_gz_is_named(tmp_path):
    (tmp_path / "t.csv.gz").write_text("a,b\n1,2\n")
    with pytest.raises(PipelineError, match="is not gzip data, whatever its name says"):
        sniff.find_dialect(tmp_path / "t.csv.gz")


def test_a_delimiter_at_the_end_of_rows_is_said(found):
    result = found(lines([[*row, ""] for row in NUMBERS], header="a,b,c\n"))
    assert ("a", "b", "c") == result.columns
    assert "Each row ends with a delimiter" in result.notes[0]


def test_dots_that_are_said_to_group_digits_leave_the_comma_for_decimals(found):
    result = found(lines([["18.834", "x"]] * 30, ";", "n;v\n"), known=Dialect(thousands="."))
    assert (",", ".", ()) == (result.dialect.decimal, result.dialect.thousands, result.notes)


@pytest.mark.parametrize(
    ("row", "count"), [("0,942,-1,097,no", 5), ("0,042,3,no", 4), ("1,0,042,no", 4), ("1,5,2,3,no", 5), ("1,5,3,no", 4)]
)
def test_decimal_commas_that_are_not_quoted_are_refused(found, row, count):
    with pytest.raises(PipelineError, match=f"line 2 has {count} cells, the header has 3"):
        found("a,b,target\n" + f"{row}\n" * 20)


def test_numbers_of_the_rows_are_no_decimals(found):
    rows = "".join(f"{number},{number % 3},{number % 2},no\n" for number in range(1, 21))
    assert ("", "a", "b", "target") == found("a,b,target\n" + rows).columns


@pytest.mark.parametrize(
    ("name", "content", "encoding", "words"),
    [
        ("t.csv", b"a,b\n1,2\nabc", "utf-16", "is not utf-16"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16") + b"x", "utf-16", "is not utf-16"),
        ("t.csv.gz", gzip.compress(bytes(range(256)) * 99, mtime=0)[:200], "", "cannot be read completely"),
        ("t.csv.gz", gzip.compress(b"a,b\n" * 99, mtime=0)[:-6] + b"x" * 6, "", "cannot be read completely"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_traceback(tmp_path, name, content, encoding, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=words):
        sniff.find_dialect(tmp_path / name, Dialect(encoding=encoding))


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "unclear"),
    [
        ("a;b\n" + "18.834;1\n958;2\n13.594;3\n" * 9, "", "", {"a": "18.834"}),
        ("a;b\n" + "18.834;0,25\n958;1,5\n" * 9, ",", ".", {}),
        ("a;b\n" + "18.834;1\n95.8;2\n" * 9, "", "", {}),
        ("a;b\n" + "0.834;1\n0.123;2\n" * 9, "", "", {}),
        ("a,b\n" + "18.834,1\n958,2\n" * 9, "", "", {}),
        ("a;b\n" + "1.234.567;1\n958;2\n" * 9, "", "", {"a": "1.234.567"}),
        ("a;b\n" + "text;0\nmore;1\n" * 9, "", "", {}),
        ("a;b\n" + "1.514;1\n958,25;2\n13,5;3\n" * 9, ",", ".", {}),
        ("a;b\n" + "1,2;1\n" + "1.51;2\n0.5;3\n" * 20, "", "", {}),
        ("a;b\n" + "1,2;1\n" + "1.514;2\n2.209;3\n" * 20, "", "", {"a": "1.514"}),
        ("a;b\n" + "7,14;0\n4,37;1\n" * 9, ",", "", {}),
    ],
    ids=[
        *["either", "with commas", "decimals", "shares", "between commas", "twice", "zero and one"],
        *["decimals below 1.000", "an odd comma", "an odd comma among either", "no points"],
    ],
)
def test_points_that_may_group_digits(tmp_path, text, decimal, thousands, unclear):
    (tmp_path / "t.csv").write_text(text)
    finding = sniff.find_dialect(tmp_path / "t.csv")
    assert (decimal, thousands, unclear) == (finding.dialect.decimal, finding.dialect.thousands, finding.unclear)
    for option in ({"decimal": "."}, {"thousands": "."}):
        assert sniff.find_dialect(tmp_path / "t.csv", Dialect(**option)).unclear == {}


def write_german(cents):
    """An amount without zeros at its end: 1.234 and 1.234,5 and 0,25."""
    whole, rest = divmod(abs(cents), 100)
    tail = f",{rest:02d}".rstrip("0").rstrip(",")
    return f"{'-' * (cents < 0)}{whole:,}".replace(",", ".") + tail


@given(st.lists(st.integers(-(10**8), 10**8), min_size=20, max_size=60), st.booleans())
def test_amounts_are_read_as_they_were_written(cents, rounded):
    """Those of whole thousands, too, whose point is no decimal one."""
    cents = [each // 100 * 100 if rounded and place % 2 else each for place, each in enumerate(cents)]
    assume(sum(each % 100 > 0 for each in cents) > 0.1 * len(cents))
    rows = [[write_german(each), "x"] for each in cents]
    decimal, thousands, unclear = find_numbers(rows, Dialect(";"))
    assert not unclear
    assert [each / 100 for each in cents] == [float(plain_number(row[0], decimal, thousands)) for row in rows]


@pytest.mark.parametrize(
    ("second", "answer"),
    [
        (["a", "b", "c"], True),
        (["[V]", "[A]", "-"], True),
        (["1", "n/a", "x"], False),
        (["", "", "x"], False),
        (["a", "2", "x"], False),
    ],
)
def test_a_second_line_of_names(second, answer):
    assert answer == is_second_header(second, [["1", "2.5", "yes"], ["3", "", "no"]] * 9)


@pytest.mark.parametrize(
    ("lines", "line"), [(["a,b,t", "m,kg,-"], 2), (["Report,2024,Q1", "Source,ERP,v2", "a,b,t"], 3)]
)
def test_the_last_line_of_names_is_proposed(tmp_path, lines, line):
    path = tmp_path / "t.csv"
    path.write_text("\n".join([*lines, *(f"{number}.5,{number},x" for number in range(40))]))
    with pytest.raises(UsageError, match=f"Line {line} of .*(.*\n)*Next: --header {line} takes the names"):
        sniff.require_one_header(path, sniff.find_dialect(path))
