"""Spellings of one class."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.csv import Csv
from pipeline.tables.spelling import Spellings, merge_spellings


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("1.0", "1"),
        ("1", "1"),
        ("1e0", "1"),
        ("1.", "1"),
        ("+1", "1"),
        (".1E1", "1"),
        ("e0", "e0"),
        (".e0", ".e0"),
        ("+", "+"),
        (".", "."),
        ("01", "01"),
        ("YES", "yes"),
        (" yes  please", "Yes please"),
        (unicodedata.normalize("NFD", "café"), "café"),
        ("\uff59\uff45\uff53", "yes"),
        ("other", "other"),
        ("", ""),
    ],
)
def test_class_of_a_label(label, name):
    assert name == Spellings(("1", "yes", "Yes please", "café")).find_class(label)


def test_classes_that_differ_in_their_spelling_only_stay_apart():
    spellings = Spellings(("a", "A"))
    assert ["a", "A"] == [spellings.find_class(name) for name in ("a", "A")]
    assert "á" == spellings.find_class("á")


@given(st.lists(st.text(max_size=5), unique=True, max_size=8))
def test_declared_classes_are_always_themselves(classes):
    spellings = Spellings(tuple(classes))
    assert classes == [spellings.find_class(name) for name in classes]


def test_rows_of_one_class_in_different_spellings():
    counts = {"1": 3, "1.0": 9, "0": 5, "0.0": 1, "maybe": 2, "MAYBE": 1}
    assert ({"1": 12, "0": 6, "maybe": 3}, {"1.0": "1", "0.0": "0", "MAYBE": "maybe"}) == merge_spellings(counts)


def test_true_and_false_are_two_classes_in_whatever_words():
    counts = {"true": 5, "True": 1, "1": 2, "FALSE": 4, "0": 1, "no": 1}
    merged, other = merge_spellings(counts)
    assert {"true": 8, "FALSE": 6} == merged
    spellings = Spellings(tuple(merged))
    assert {name: spellings.find_class(name) for name in other} == other
    assert ["FALSE", "true", "unknown"] == [spellings.find_class(name) for name in ("off", "1.0", "unknown")]
    assert ["t", "f", "1"] == [Spellings(("t", "f", "x")).find_class(name) for name in ("t", "f", "1")]


def test_letters_of_an_alphabet_stay_apart():
    assert {"a": 1, "A": 1, "b": 1} == merge_spellings({"a": 1, "A": 1, "b": 1})[0]
    assert {"Y": 3, "n": 2} == merge_spellings({"y": 1, "Y": 2, "n": 2})[0]


def test_what_differs_in_case_only_stays_apart_where_a_single_class_would_be_left():
    assert ({"ok": 3, "OK": 2}, {}) == merge_spellings({"ok": 3, "OK": 2})
    assert {"1": 3} == merge_spellings({"1": 1, "1.0": 2})[0]
    assert {"TRUE": 3} == merge_spellings({"true": 1, "TRUE": 2})[0]
    assert {"caf\u00e9": 3} == merge_spellings({"caf\u00e9": 2, "cafe\u0301": 1})[0]


NEARLY_NUMBERS = st.text("+-.eE019 \uff11\u0661\u00b2", max_size=6)


@given(st.dictionaries(st.text(max_size=3) | NEARLY_NUMBERS, st.integers(1, 9), max_size=9))
def test_no_row_is_lost(counts):
    merged, other = merge_spellings(counts)
    assert sum(counts.values()) == merged.total()
    assert set(counts) == {*merged, *other}


def test_a_class_may_be_called_na(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,NA\n2,EU\nNA,eu\n3,\n")
    found = list(Csv("t.csv", {"x": "float"}, "y", ("NA", "EU")).examples(tmp_path))
    assert [b"NA", b"EU", b"EU"] == [one.features["y"] for one in found[:3]]
    assert "the label y is empty" == found[3].fault
