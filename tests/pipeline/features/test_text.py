"""Texts: what cannot be learned from, and their words in the graph."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features import text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"good \xff film", "not UTF-8: invalid start byte at byte 5"),
        ("café".encode()[:-1], "not UTF-8: unexpected end of data at byte 3"),
        (b"", "no text, the file is empty"),
        (b" \n\t", "no text, only white space"),
        ("naïve 電影\0".encode(), ""),
    ],
)
def test_fault(content, words):
    assert words == text.fault(content)


@given(st.binary(max_size=40))
def test_whatever_is_no_text_carries_a_fault(content):
    try:
        usable = bool(content.decode().strip())
    except UnicodeDecodeError:
        usable = False
    assert usable == (not text.fault(content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("It's a <br /><br/>GREAT film!!", ["its", "a", "great", "film", "!", "!"]),
        ("'Quoted', isn't it?", ["quoted", "isnt", "it", "?"]),
        ("doesn\u2019t", ["doesnt"]),
        ("CAFÉ Ärger 8/10", ["café", "ärger", "8", "10"]),
        ("cafe\u0301", ["cafe\u0301"]),
        ("<b>not a break</b>", ["b", "not", "a", "break", "b"]),
        ("...", []),
        ("", []),
    ],
)
def test_words(content, expected):
    assert [[word.encode() for word in expected]] == text.words([content]).to_list()


def test_bytes_that_are_no_text_separate():
    assert [[b"good", b"film"]] == text.words([b"Good\xff\xfeFilm"]).to_list()


@pytest.mark.heavy
@given(st.lists(st.one_of(st.binary(max_size=30), st.text(max_size=30).map(str.encode)), min_size=1, max_size=4))
def test_each_text_is_split_by_itself(contents):
    together = text.words(contents).to_list()
    assert [text.words([content]).to_list()[0] for content in contents] == together


@given(st.text(max_size=30))
def test_words_are_split_no_further(content):
    (once,) = text.words([content]).to_list()
    assert [once] == text.words([b" ".join(once)]).to_list()
