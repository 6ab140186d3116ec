"""Names of columns as identifiers and in prose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.scaffold.render import (
    LINE_WIDTH,
    draw_diagram,
    list_names,
    safe_name,
    wrap_words,
)
from pipeline.tables.names import RESERVED_NAMES, make_identifiers, require_input_names

NAMES = st.lists(st.text(max_size=20), unique=True, max_size=10)


@given(NAMES)
def test_every_name_becomes_an_identifier_of_its_own(names):
    found = make_identifiers(names)
    assert list(found) == names
    assert len(names) == len(set(found.values()))
    assert all(name.isascii() and name.isidentifier() and name[0].isalpha() for name in found.values())
    assert set() == RESERVED_NAMES & set(found.values())
    assert len(names) == len({name.lower() for name in found.values()})
    require_input_names(found.values())


def test_what_is_an_identifier_stays():
    expected = {
        "a-b": "a_b_2",
        "a_b": "a_b",
        "größe (m)": "grosse_m",
        "1st": "column_1st",
        "": "column",
    }
    assert expected == make_identifiers(["a-b", "a_b", "größe (m)", "1st", ""])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["class", "self", "lambda"], ["class_", "self_", "lambda_"]),
        (["Class", "NONE", "Self"], ["Class_", "NONE_", "Self_"]),
        (["A", "a", "b"], ["A", "a_2", "b"]),
        (["names", "Words", "number"], ["names_2", "Words_2", "number"]),
        (["class", "class_"], ["class__2", "class_"]),
    ],
)
def test_what_tensorflow_cannot_export_or_a_template_uses_gets_another_name(names, expected):
    assert expected == list(make_identifiers(names).values())


@pytest.mark.parametrize("names", [["class"], ["self", "x"], ["A", "a"], ["_x"], ["größe"], ["a b"], [""]])
def test_such_names_are_refused_before_the_training(names):
    with pytest.raises(PipelineError, match="Next: rename them in the recipe"):
        require_input_names(names)


@given(st.text())
def test_plain_words_break_no_docstring_and_no_comment(name):
    shown = safe_name(name)
    assert shown
    assert 1 == len(shown.splitlines())
    assert not set(shown) & {"\\", '"'}
    assert len(shown) <= 40


@given(st.lists(st.text("ab ", min_size=1, max_size=50), max_size=40))
def test_paragraphs_fit(words):
    assert all(len(line) <= LINE_WIDTH for line in wrap_words(" ".join(words)).splitlines())


def test_long_lists_are_counted():
    assert "a, b and 2 more" == list_names(["a", "b", "c", "d"], 2)
    assert "a, b" == list_names(["a", "b"], 2)


def test_diagram_of_one_and_of_three():
    assert "    a ─ scaled ─ (1)" == draw_diagram([("a", "scaled")], "(1)")
    expected = ["    a   ─ x ┐", "    bcd ─ x ┤", "    e   ─ x ┴─ (1)"]
    assert expected == draw_diagram([("a", "x"), ("bcd", "x"), ("e", "x")], "(1)").splitlines()


def test_a_name_is_shown_as_it_has_to_be_typed():
    assert "item #" == safe_name("item #")
