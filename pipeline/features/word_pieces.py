"""WordPiece: texts become pieces of words of a given vocabulary, in the TensorFlow graph, as BERT's tokenizer does it.

Everything is constants and stateless operations: no table has to be initialised, and any server runs the graph.

Sources: J. Devlin et al., BERT, NAACL 2019, section 3; the steps are those of `BertNormalizer`, `BertPreTokenizer` and
`WordPiece` of github.com/huggingface/tokenizers: control characters removed, CJK characters alone, accents stripped,
lower case, punctuation alone, then from the left the longest piece of each word that the vocabulary has.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np

INNER = "##"  # begins a piece that is not the first of its word
LONGEST_WORD = 100  # characters; a longer word is unknown
CODES = 0x32400  # characters from here on are marks, tags and for private use: removed
REPLACEMENT = 0xFFFD  # of bytes that are not UTF-8
CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_HASHES = 2**63 - 1


@dataclass(frozen=True)
class Vocabulary:
    """The pieces that are known.

    Attributes:
        pieces: In the order of their ids, all different.
        unknown: Id of a word that cannot be put together.
    """

    pieces: tuple[str, ...]
    unknown: int

    @property
    def longest(self) -> int:
        """Characters of the longest piece, without the mark of an inner one."""
        return max(len(piece.removeprefix(INNER)) for piece in self.pieces)


def split_words(text: Any) -> Any:
    """Normalises texts and splits them at white space and punctuation.

    Args:
        text: String tensor (batch,); bytes that are not UTF-8 are removed.

    Returns:
        String RaggedTensor (batch, words of each).
    """
    import tensorflow as tf

    codes = tf.strings.unicode_decode(text, "UTF-8", errors="replace", replacement_char=REPLACEMENT)
    known = tf.minimum(codes.flat_values, CODES - 1)
    forms = tf.gather(tf.constant(_character_forms()), known)
    return tf.strings.split(tf.strings.unsorted_segment_join(forms, codes.value_rowids(), codes.nrows()))


@functools.cache
def _character_forms() -> tuple[bytes, ...]:
    """Returns what each character becomes: nothing, a space, or others, with spaces around if it stands alone."""
    return (*(_normalise(chr(code)).encode() for code in range(CODES - 1)), b"")


def _normalise(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\t\n\r" or category.startswith("Z"):
        return " "
    if ord(character) in (0, REPLACEMENT) or category.startswith("C"):
        return ""
    bare = "".join(mark for mark in unicodedata.normalize("NFD", character) if unicodedata.category(mark) != "Mn")
    lower = "".join(map(str.lower, bare))
    alone = "".join(f" {each} " if _is_punctuation(each) else each for each in lower)
    return f" {alone} " if any(low <= ord(character) <= high for low, high in CJK) else alone


def _is_punctuation(character: str) -> bool:
    ascii_mark = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return ascii_mark or unicodedata.category(character).startswith("P")


def find_pieces(words: Any, vocabulary: Vocabulary) -> Any:
    """Splits words into pieces.

    Args:
        words: String RaggedTensor (batch, words of each), as `split_words` returns it.
        vocabulary: The vocabulary.

    Returns:
        int64 RaggedTensor (batch, pieces of each): their ids, at least one for each word.
    """
    import tensorflow as tf

    flat = words.flat_values
    ids = _split_each(flat, vocabulary)  # (words, pieces), -1 behind the last one
    there = ids >= 0
    rows = tf.repeat(words.value_rowids(), tf.reduce_sum(tf.cast(there, tf.int64), axis=1))
    return tf.RaggedTensor.from_value_rowids(tf.boolean_mask(ids, there), rows, words.nrows(), validate=False)


def _split_each(words: Any, vocabulary: Vocabulary) -> Any:
    """Returns the ids of the pieces of each word (words, most pieces), -1 behind its last one."""
    import tensorflow as tf

    lengths = tf.strings.length(words, "UTF8_CHAR")
    sizes = tf.range(1, vocabulary.longest + 1)[None]

    def step(at: Any, failed: Any, ids: Any) -> tuple[Any, Any, Any]:
        """Finds the longest piece that begins at a place of each word."""
        rest = (lengths - at)[:, None]
        ends = tf.minimum(sizes, rest)  # (words, sizes)
        begins, whole = (tf.broadcast_to(part[:, None], tf.shape(ends)) for part in (at, words))
        parts = tf.strings.substr(whole, begins, ends, "UTF8_CHAR")
        marked = tf.where(at[:, None] > 0, tf.strings.join([INNER, parts]), parts)
        known = tf.where(sizes <= rest, _look_up(marked, vocabulary), -1)
        length = tf.reduce_max(tf.where(known >= 0, sizes, 0), axis=1)  # 0: none
        piece = tf.reduce_max(tf.where(sizes == length[:, None], known, -1), axis=1)
        active = at < lengths
        failed |= active & (length == 0)
        at = tf.where(failed, lengths, at + tf.where(active, length, 0))
        return at, failed, tf.concat([ids, piece[:, None]], axis=1)

    begin = tf.where(lengths > LONGEST_WORD, lengths, 0)
    _, failed, ids = tf.while_loop(
        lambda at, _failed, _ids: tf.reduce_any(at < lengths),
        step,
        (begin, lengths > LONGEST_WORD, tf.zeros([tf.size(words), 0], tf.int64)),
        shape_invariants=(tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([None, None])),
        parallel_iterations=1,
    )
    none = tf.fill([tf.size(words), 1], tf.constant(-1, tf.int64))
    whole = tf.where(failed, tf.constant(vocabulary.unknown, tf.int64), -1)[:, None]
    return tf.concat([whole, tf.where(failed[:, None], none, ids)], axis=1)


@functools.cache
def _hash_pieces(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Returns the hashes of the pieces in order, and the id of each.

    63 bits of a hash stand for a piece: that another one has one of them by chance happens once in 10**14 times.
    """
    import tensorflow as tf

    with tf.init_scope():  # now, not in the graph
        hashes = tf.strings.to_hash_bucket_fast(list(vocabulary.pieces), _HASHES).numpy()
    order = np.argsort(hashes)
    return hashes[order], order.astype(np.int64)


def _look_up(pieces: Any, vocabulary: Vocabulary) -> Any:
    """Returns the ids of pieces, of any shape; -1 for what is unknown."""
    import tensorflow as tf

    known, ids = map(tf.constant, _hash_pieces(vocabulary))
    hashes = tf.reshape(tf.strings.to_hash_bucket_fast(pieces, _HASHES), [-1])
    places = tf.minimum(tf.searchsorted(known, hashes), tf.size(known) - 1)
    matched = tf.where(tf.gather(known, places) == hashes, tf.gather(ids, places), -1)
    return tf.reshape(matched, tf.shape(pieces))
