"""Text out of the bytes of tokens, however these are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serving.generation.text import TextAssembler


def _pieces(content, cuts):
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[start:end] for start, end in pairwise(places)]


def _assemble(content, cuts, stops=()):
    assembler, shown = TextAssembler(stops), []
    for piece in _pieces(content, cuts):
        shown.append(assembler.feed(piece))
        if assembler.is_stopped:
            break
    shown.append(assembler.finish())
    return shown, assembler


texts = st.text("ab日é🙂.", max_size=30)
cuts = st.lists(st.integers(0, 200), max_size=30)


@given(texts, cuts)
def test_cuts_change_nothing(text, cuts):
    shown, _ = _assemble(text.encode(), cuts)
    assert text == "".join(shown)
    assert not any("�" in piece for piece in shown)


@given(st.binary(max_size=30), cuts)
def test_bytes_that_are_no_text_are_replaced(content, cuts):
    shown, _ = _assemble(content, cuts)
    assert content.decode("utf-8", "replace") == "".join(shown)


@given(texts, cuts, st.lists(st.text("ab日é.", min_size=1, max_size=3), min_size=1, max_size=1))
def test_a_stop_text_and_what_follows_never_show(text, cuts, stops):
    shown, assembler = _assemble(text.encode(), cuts, stops)
    assert text.partition(stops[0])[0] == "".join(shown)
    assert (stops[0] in text) == assembler.is_stopped


def test_what_may_begin_a_stop_text_is_held_back():
    assembler = TextAssembler(["</answer>"])
    assert ["a ", "", "</ans<b"] == [assembler.feed(piece) for piece in (b"a <", b"/ans", b"<b")]


def test_the_earliest_stop_text_counts():
    assembler = TextAssembler(["cd", "b"])
    assert "a" == assembler.feed(b"abcd")
    assert assembler.is_stopped
    assert "" == assembler.finish()
