"""WordPiece in the graph, against an implementation of the published algorithm in plain Python."""

from __future__ import annotations

import unicodedata

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.features import word_pieces
from pipeline.features.word_pieces import CJK, INNER, LONGEST_WORD, Vocabulary, find_pieces, split_words

PIECES = (
    "[UNK]", "a", "b", "ab", "abc", "##a", "##b", "##bc", "##c", "un", "##aff", "##able", "is", "##n", "'", "t", "?",
    "#", "##", "漢", "é", "e", "##e", "strasse", "ß", "##ß", "i", "ᄒ", "##ᅡ", "##ᆫ", "😀", "1", "##2",
)  # fmt: skip
VOCABULARY = Vocabulary(PIECES, 0)


def reference_words(text):
    """The steps of BERT's basic tokenizer, on the whole text."""
    kept = []
    for each in text:
        category = unicodedata.category(each)
        if each in "\t\n\r" or category[0] == "Z":
            kept.append(" ")
        elif each not in "\0\ufffd" and category[0] != "C":
            kept.append(f" {each} " if any(low <= ord(each) <= high for low, high in CJK) else each)
    bare = [each for each in unicodedata.normalize("NFD", "".join(kept)) if unicodedata.category(each) != "Mn"]
    lower = "".join(each.lower() for each in bare)
    alone = [f" {each} " if is_mark(each) else each for each in lower]
    return "".join(alone).split()


def is_mark(each):
    code = ord(each)
    return (
        33 <= code <= 47
        or 58 <= code <= 64
        or 91 <= code <= 96
        or 123 <= code <= 126
        or (unicodedata.category(each)[0] == "P")
    )


def reference_pieces(word, vocabulary):
    """The longest match from the left, as in BERT's tokenizer."""
    ids = {piece: place for place, piece in enumerate(vocabulary.pieces)}
    found, begin = [], 0
    while begin < len(word):
        ends = range(len(word), begin, -1)
        end = next((end for end in ends if (INNER if begin else "") + word[begin:end] in ids), None)
        if end is None:
            return [vocabulary.unknown]
        found.append(ids[(INNER if begin else "") + word[begin:end]])
        begin = end
    return found if len(word) <= LONGEST_WORD else [vocabulary.unknown]


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def graph(texts):
    words = split_words(texts)
    return words, find_pieces(words, VOCABULARY)


def check(texts):
    words, pieces = graph(tf.constant([text.encode(errors="surrogatepass") for text in texts], tf.string))
    expected = [reference_words(text) for text in texts]
    assert expected == [[word.decode() for word in row] for row in words.to_list()]
    split = [[piece for word in row for piece in reference_pieces(word, VOCABULARY)] for row in expected]
    assert split == pieces.to_list()


@pytest.mark.heavy
@pytest.mark.parametrize(
    "text",
    ["", "   ", "Unaffable", "isn't?", "ABC abcabc abd", "a" * 100, "a" * 101, "##", "# #a", "漢字a漢", "É e\u0301 ée",
     "STRASSE ß", "İ \u0131", "한", "a\u200bb\u00ada",
     "a\u3000b\u2028a\u0085b", "😀!", "12 122", "Σας ΣΑΣ", "\x00a\ufffdb"],
)  # fmt: skip
def test_texts_one_by_one(text):
    check([text])


@pytest.mark.heavy
def test_a_batch_gives_each_row_what_it_gets_alone():
    check(["", "abc unaffable", "x" * 200 + " a", "漢"])


@pytest.mark.heavy
def test_no_rows():
    words, pieces = graph(tf.constant([], tf.string))
    assert [] == words.to_list() == pieces.to_list()


letters = st.one_of(
    st.sampled_from("abcunffable isn't?#漢éßÉİ12😀한Σ\u0301\u00a0\n"),
    st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs", "Mc")),
    st.characters(exclude_categories=("Cs", "Mc"), max_codepoint=word_pieces.CODES - 1),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(letters, max_size=30), max_size=4))
@example(["\ufdfa", "\u1e9b\u0323"])
def test_any_text(texts):
    check(texts)


@pytest.mark.heavy
@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=30))
def test_any_bytes(content):
    words, pieces = graph(tf.constant([content]))
    assert reference_words(content.decode(errors="replace")) == [word.decode() for word in words.to_list()[0]]
    assert len(pieces.to_list()[0]) >= len(words.to_list()[0])


@pytest.mark.heavy
def test_characters_beyond_the_table_are_marks_and_controls():
    rest = (chr(code) for code in range(word_pieces.CODES - 1, 0x110000) if not 0xD800 <= code < 0xE000)
    assert all(reference_words(each) == [] for each in rest)


def test_hashes_of_a_vocabulary_differ():
    hashes, ids = word_pieces._hash_pieces(VOCABULARY)
    assert len(PIECES) == len(set(hashes.tolist()))
    assert sorted(ids.tolist()) == list(range(len(PIECES)))
