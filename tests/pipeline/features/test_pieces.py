"""Pieces of words: learnt by byte-pair encoding, matched in the graph, joined again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features import pieces
from pipeline.features.pieces import END, FIRST, MARK, PADDING, UNKNOWN

TEXTS = ["ein Mann und eine Frau.", "Eine Frau, die sitzt!", "zwei Männer sitzen und lesen", "der Mann liest."]
LENGTH = 64


@pytest.fixture(scope="module")
def learnt():
    return pieces.learn_pieces(pieces.count_units(normalized(TEXTS)), 60)


@pytest.fixture(scope="module")
def trie(learnt):
    return pieces.make_trie(learnt)


def normalized(texts, *, lower=False):
    return [text.decode() for text in pieces.normalize(tf.constant(texts), lower=lower).numpy()]


def ids_of(texts, trie, length=LENGTH):
    return pieces.encode(pieces.normalize(tf.constant(texts), lower=False), trie, length).numpy()


def joined(ids, learnt):
    spellings = tf.constant([""] * FIRST + learnt)
    return [text.decode() for text in pieces.join_pieces(tf.constant(ids), spellings).numpy()]


def test_most_frequent_pair_is_joined_first():
    counts = {"low": 5, "lower": 2, "newest": 6, "widest": 3}  # the example of the paper, section 3.2
    found = pieces.learn_pieces(counts, 15)
    assert list("ewlostnidr") == sorted(found[:10], key="ewlostnidr".index)
    assert ["es", "est", "lo", "low"] == found[10:14]


def test_pieces_end_at_words_and_punctuation():
    found = pieces.learn_pieces(pieces.count_units(normalized(["a b, a b, a b,"] * 9)), 100)
    assert all(MARK not in piece[1:] for piece in found)
    assert {f"{MARK}a", f"{MARK}b"} <= set(found)
    assert not [piece for piece in found if "," in piece and len(piece) > 1]


def test_no_more_pieces_than_asked_for():
    assert 3 == len(pieces.learn_pieces(Counter({"abcdef": 2, "abc": 5}), 3))


def test_units_are_words_with_their_mark_and_punctuation():
    expected = [f"{MARK}Eine", f"{MARK}Frau", ",", f"{MARK}die", f"{MARK}sitzt", "!"]
    assert expected == list(pieces.count_units(normalized(TEXTS[1:2])))


@pytest.mark.heavy
@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("einMadrF. ,\t", max_size=30), min_size=1, max_size=4))
def test_text_is_the_same_after_there_and_back(learnt, trie, texts):
    assert [" ".join(text.split()) for text in texts] == joined(ids_of(texts, trie), learnt)


@pytest.mark.heavy
@settings(max_examples=50, deadline=None)
@given(st.text("einMadrFuzlsto. x", min_size=1, max_size=25))
def test_the_longest_piece_is_taken_from_left_to_right(learnt, trie, text):
    (rest,), expected = normalized([text]), []
    while rest:
        fits = [piece for piece in learnt if rest.startswith(piece)]
        best = max(fits, key=len, default="")
        expected.append(FIRST + learnt.index(best) if best else UNKNOWN)
        rest = rest[len(best) or 1 :]
    np.testing.assert_array_equal(expected + [PADDING] * (LENGTH - len(expected)), ids_of([text], trie)[0])


def test_long_texts_are_cut():
    learnt = pieces.learn_pieces({f"{MARK}a": 9}, 9)
    ids = ids_of(["a " * 10_000, "a"], pieces.make_trie(learnt), 8)
    assert [[learnt.index(f"{MARK}a") + FIRST] * 8] == ids[:1].tolist()
    assert [PADDING] * 7 == ids[1, 1:].tolist()


def test_bytes_that_are_no_text(trie, learnt):
    assert ["", "Mann"] == joined(ids_of([b"\xff\xfe", b"\xffMann\x00"], trie), learnt)
    assert (ids_of(["", " \n"], trie) == PADDING).all()


def test_small_letters_on_demand():
    assert [f"{MARK}zwei{MARK}m\u00e4nner."] == normalized(["  Zwei\tM\u00c4NNER. "], lower=True)


def test_end_and_padding_are_no_text(learnt):
    assert [""] == joined([[END, END, PADDING]], learnt)
