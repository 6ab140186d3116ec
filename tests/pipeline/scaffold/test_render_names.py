"""Names of columns as identifiers and in prose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.scaffold.render import TAKEN, WIDTH, identifiers, joined, listed, plain, wrapped

NAMES = st.lists(st.text(max_size=20), unique=True, max_size=10)


@given(NAMES)
def test_every_name_becomes_an_identifier_of_its_own(names):
    found = identifiers(names)
    assert list(found) == names
    assert len(names) == len(set(found.values()))
    assert all(name.isascii() and name.isidentifier() and name[0].isalpha() for name in found.values())
    assert set() == TAKEN & set(found.values())


def test_what_is_an_identifier_stays():
    expected = {
        "a-b": "a_b_2",
        "a_b": "a_b",
        "größe (m)": "große_m".replace("ß", ""),
        "1st": "column_1st",
        "": "column",
    }
    assert expected == identifiers(["a-b", "a_b", "größe (m)", "1st", ""])


@given(st.text())
def test_plain_words_break_no_docstring_and_no_comment(name):
    shown = plain(name)
    assert shown
    assert 1 == len(shown.splitlines())
    assert not set(shown) & {"\\", '"', "#"}
    assert len(shown) <= 40


@given(st.lists(st.text("ab ", min_size=1, max_size=50), max_size=40))
def test_paragraphs_fit(words):
    assert all(len(line) <= WIDTH for line in wrapped(" ".join(words)).splitlines())


def test_long_lists_are_counted():
    assert "a, b and 2 more" == listed(["a", "b", "c", "d"], 2)
    assert "a, b" == listed(["a", "b"], 2)


def test_diagram_of_one_and_of_three():
    assert "    a ─ scaled ─ (1)" == joined([("a", "scaled")], "(1)")
    expected = ["    a   ─ x ┐", "    bcd ─ x ┤", "    e   ─ x ┴─ (1)"]
    assert expected == joined([("a", "x"), ("bcd", "x"), ("e", "x")], "(1)").splitlines()
