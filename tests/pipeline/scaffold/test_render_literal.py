"""Python source from values: it means the value, and ruff would write it the same way."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scaffold.render import LINE_WIDTH, Code, display_width, literal, literal_text

RUFF = shutil.which("ruff", path=str(Path(sys.executable).parent))
TEXTS = st.text(max_size=40)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=12).map(tuple) | st.dictionaries(TEXTS, inner, max_size=12),
    max_leaves=40,
)


@pytest.mark.heavy
@given(VALUES)
def test_source_means_the_value(value):
    assert value == ast.literal_eval(literal(value))


@given(st.lists(st.text("abc xyz", min_size=1, max_size=30), min_size=1, max_size=30).map(tuple))
def test_no_line_is_too_long(value):
    source = f"NAMES = {literal(value, used=8)}"
    assert [] == [line for line in source.splitlines() if display_width(line) > LINE_WIDTH]


@given(st.characters(codec="utf-8"))
def test_a_character_of_any_kind_is_quoted(one):
    assert one == ast.literal_eval(literal_text(one))
    assert literal_text(one).isprintable()


def test_lone_surrogates_are_written_in_ascii():
    assert r'"caf\udce9"' == literal_text("caf\udce9")


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("a", '"a"'),
        ('say "a"', "'say \"a\"'"),
        ("it's", '"it\'s"'),
        ("a\\b\n", '"a\\\\b\\n"'),
        (("a",), '("a",)'),
        ((), "()"),
        ({}, "{}"),
        (Code("timedelta(days=1)"), "timedelta(days=1)"),
        ("日本", '"日本"'),
    ],
)
def test_short_values(value, source):
    assert source == literal(value)


def test_width_of_wide_and_combining_characters():
    assert 4 == display_width("日本")
    assert 1 == display_width("e\u0301")


@pytest.mark.process
@pytest.mark.skipif(RUFF is None, reason="ruff is a tool of development")
@pytest.mark.parametrize("count", [1, 5, 11, 12, 13, 40])
def test_ruff_would_write_the_same(count):
    names = tuple(f"na\"me's {number}" if number % 3 else f"日本{number}" for number in range(count))
    source = f"NAMES = {literal(names, used=8)}\nMAP = {literal(dict.fromkeys(names, names[:4]), used=6)}\n"
    options = ["format", "--isolated", "--line-length", "120", "-"]
    done = subprocess.run([RUFF, *options], input=source, capture_output=True, text=True, check=True)
    assert source == done.stdout
