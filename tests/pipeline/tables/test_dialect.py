"""Numbers in other forms than Python's, and bytes of another encoding."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError, UsageError
from pipeline.tables import dialect, sniff
from pipeline.tables.dialect import Dialect

MARKS = st.sampled_from([(",", ""), (",", "."), (",", " "), ("", ","), ("", " "), ("", "'"), (".", ","), (",", "'")])


@given(st.decimals(-(10**12), 10**12, places=3), MARKS)
def test_numbers_come_back_from_every_form(number, marks):
    decimal, thousands = marks
    written = f"{number:,}".replace(",", "\0").replace(".", decimal or ".").replace("\0", thousands)
    assert float(number) == float(dialect.plain_number(written, decimal, thousands))


@pytest.mark.parametrize("text", ["1,2", "1.2.3", "1 2", "12,34,567", "x", "", "--1", "1,234,", "2024-01-01"])
def test_what_is_no_number_of_the_form_stays(text):
    assert text == dialect.plain_number(text, ".", ",")


@given(st.text())
def test_without_a_form_nothing_changes(text):
    assert text == dialect.plain_number(text)


def test_the_line_of_another_encoding_is_named(tmp_path):
    text = b"M\xfcller".decode("utf-8", "surrogateescape")
    path = tmp_path / "t.csv"
    path.write_bytes(b"M\xfcller")
    dialect.require_text(path, 7, "Müller")
    with pytest.raises(PipelineError, match="line 7 is not UTF-8") as caught:
        dialect.require_text(path, 7, text)
    assert "'M\\xfcller'; in cp1252 it is 'Müller'" in str(caught.value)
    assert "Next: name the encoding: --encoding cp1252" in str(caught.value)


def test_columns_that_blanks_separate():
    rows = list(dialect.parse_lines([' 1  2 \t "a b"\n', "\n", "3 4 5 \n"], dialect.BLANKS))
    assert [["1", "2", "a b"], [], ["3", "4", "5"]] == [cells for _, cells, _ in rows]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', "a quote is not closed: the lines 2 to 4 are one row"),
        ('a,b\n1,"x\ny"\n', ""),
        ('a,b\n1,"x\ny"z\n', ""),
    ],
)
def test_a_quote_that_is_not_closed_is_a_fault_of_its_lines(text, fault):
    rows = list(dialect.parse_lines(text.splitlines(keepends=True), ","))
    assert ["", fault] == [found for _, _, found in rows]


def test_dots_that_group_digits_need_no_comma():
    assert ["18834", "958", "1.5"] == [dialect.plain_number(cell, "", ".") for cell in ("18.834", "958", "1,5")]


def test_another_encoding_than_the_named_one_is_proposed(tmp_path):
    path, name = tmp_path / "t.csv", "ロード".encode("shift_jis")
    path.write_bytes(name)
    with pytest.raises(PipelineError, match="line 3 is not cp1252") as caught:
        dialect.require_text(path, 3, name.decode("cp1252", "surrogateescape"), "cp1252")
    assert f"{str(name)[1:]}; in shift_jis it is 'ロード'" in str(caught.value)
    assert "--encoding shift_jis" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", gzip.compress(b"a,b", mtime=0), "Next: rename it to t.csv.gz"),
        ("t.csv.gz", b"a,b", "Next: rename it to t.csv"),
        ("t.csv", b"PK\x03\x04", "an Excel file or a zip archive"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError) as caught:
        dialect.open_text(tmp_path / name)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "encoding", "refused"),
    [
        ("Größe,Ort\n1,Köln\n", "cp1252", True),
        ("Größe,Ort\n1,Köln\n", "latin-1", True),
        ("名前,年齢\n" + "山田太郎,1\n" * 3, "shift_jis", True),
        ("Größe,Ort\n1,Köln\n", "utf-8", False),
        ("Größe,Ort\n1,Köln\n", "utf-8-sig", False),
        ("Size,Town\n1,Cologne\n", "cp1252", False),
    ],
)
def test_an_encoding_that_makes_other_letters_of_utf8_is_refused(tmp_path, content, encoding, refused):
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    if refused:
        with pytest.raises(UsageError, match=rf"is UTF-8, not {encoding}(?s:.*)leave out --encoding"):
            sniff.complete(path, Dialect(encoding=encoding))
    else:
        assert encoding == sniff.complete(path, Dialect(encoding=encoding)).encoding


@pytest.mark.parametrize(("text", "encoding"), [("Größe,Ort\n1,Köln\n", "cp1252"), ("城市,数\n北京,1\n", "gb18030")])
def test_an_encoding_that_is_the_files_is_taken(tmp_path, text, encoding):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding=encoding)
    assert encoding == sniff.complete(path, Dialect(encoding=encoding)).encoding
