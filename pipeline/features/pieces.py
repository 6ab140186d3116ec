"""Pieces of words: learnt from texts by byte-pair encoding, and matched in the TensorFlow graph.

Frequent words are one piece, rare ones several, so that a small vocabulary spells any word. A piece that begins a word
begins with `MARK`; punctuation is never joined to letters. The graph takes the longest piece that matches, from left
to right, by a trie: a table with the next node for each node and character.

Sources: R. Sennrich, B. Haddow, A. Birch, Neural machine translation of rare words with subword units, ACL 2016,
algorithm 1 (learning, here over characters and without an end-of-word symbol); T. Kudo, J. Richardson, SentencePiece,
EMNLP 2018 (the mark); O. Uzan et al., Greed is all you need: an evaluation of tokenizer inference methods, ACL 2024
(the longest piece first with the pieces of byte-pair encoding).
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARK = "\u2581"  # SentencePiece's, an underscore that no keyboard has
PADDING, END, UNKNOWN, FIRST = 0, 1, 2, 3  # ids: after the end, the end, an unknown character, the first piece
LONGEST = 16  # characters of a piece
CHARACTERS = 12  # of a text that are read, per piece that it may have: no text has longer pieces on average
UNIT = re.compile(rf"{MARK}?(?:\w+|[^\w{MARK}]|$)")  # a word, or a mark of punctuation
SPACE = r"[\s\p{Cc}\x{2581}\x{00A0}]+"  # white space, control characters, the mark itself


class Trie(NamedTuple):
    """Pieces as a trie, as arrays or tensors. Node 0 is no node, node 1 is the root.

    Attributes:
        alphabet: Code points of the characters in ascending order, (characters,) of int32.
        children: Next node by node and character, (nodes, 1 + characters) of int32; column 0 is any other character.
        piece: Id of the piece that ends in a node, (nodes,) of int32; `PADDING` where none ends.
    """

    alphabet: Any
    children: Any
    piece: Any


def count_units(texts: Iterable[str]) -> Counter[str]:
    """Counts words, each with its mark, and marks of punctuation in normalized texts."""
    return Counter(unit for text in texts for unit in UNIT.findall(text) if unit)


def learn_pieces(counts: Mapping[str, int], size: int) -> list[str]:
    """Learns pieces from counted units: all characters, then the most frequent pair joined, again and again.

    Args:
        counts: Occurrences by unit.
        size: Number of pieces at most. If there are more characters, the rarest have no piece.

    Returns:
        The pieces, by id without the first ones that are no pieces; equal counts are ordered by the alphabet.
    """
    units = sorted(counts)
    frequency = Counter(character for unit in units for character in unit * counts[unit])
    pieces = sorted(frequency, key=lambda character: (-frequency[character], character))[:size]
    known = dict.fromkeys(pieces)
    joins = _Joins([list(unit) for unit in units], [counts[unit] for unit in units])
    while len(known) < size and (pair := joins.pop()):
        joins.join(pair)
        known["".join(pair)] = None
    return list(known)


class _Joins:
    """The spellings of all units, and how often each pair of neighbours occurs in them."""

    def __init__(self, spellings: list[list[str]], weights: list[int]) -> None:
        self.spellings, self.weights = spellings, weights
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for place in range(len(spellings)):
            self._count(place, 1)
        self.heap = [(-count, pair) for pair, count in self.pairs.items()]
        heapq.heapify(self.heap)

    def _count(self, place: int, sign: int) -> set[tuple[str, str]]:
        spelling = self.spellings[place]
        changed = set(itertools.pairwise(spelling))
        for pair in itertools.pairwise(spelling):
            self.pairs[pair] += sign * self.weights[place]
            self.places[pair].add(place)
        return changed

    def pop(self) -> tuple[str, str] | None:
        """Returns the most frequent pair that occurs at least twice; None if there is none."""
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            fits = len(pair[0]) + len(pair[1]) <= LONGEST
            if fits and -count == self.pairs[pair] > 1:  # counts that were true once are passed over
                return pair
        return None

    def join(self, pair: tuple[str, str]) -> None:
        """Joins a pair wherever it occurs."""
        changed: set[tuple[str, str]] = set()
        for place in sorted(self.places.pop(pair)):
            changed |= self._count(place, -1)
            self.spellings[place] = _joined(self.spellings[place], pair)
            changed |= self._count(place, 1)
        for other in changed:
            heapq.heappush(self.heap, (-self.pairs[other], other))


def _joined(spelling: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    at = 0
    while at < len(spelling):
        both = tuple(spelling[at : at + 2]) == pair
        result.append("".join(pair) if both else spelling[at])
        at += 2 if both else 1
    return result


def make_trie(pieces: list[str]) -> Trie:
    """Returns the trie of pieces, the first of which has the id `FIRST`."""
    alphabet = sorted({character for piece in pieces for character in piece})
    column = {character: number for number, character in enumerate(alphabet, 1)}
    children, ends = [[0] * (1 + len(alphabet)) for _ in range(2)], [PADDING, PADDING]
    for number, piece in enumerate(pieces, FIRST):
        node = 1
        for character in piece:
            if not children[node][column[character]]:
                children[node][column[character]] = len(children)
                children.append([0] * (1 + len(alphabet)))
                ends.append(PADDING)
            node = children[node][column[character]]
        ends[node] = number
    codes = [ord(character) for character in alphabet]
    return Trie(*(np.array(values, np.int32) for values in (codes, children, ends)))


def normalize(text: Any, *, lower: bool) -> Any:
    """Returns texts (batch,) with one `MARK` before each word and no other white space; bytes that are no UTF-8 go."""
    import tensorflow as tf

    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore")
    text = tf.strings.lower(text, encoding="utf-8") if lower else text
    text = tf.strings.regex_replace(text, SPACE, " ")
    words = tf.strings.strip(text)
    marked = tf.strings.regex_replace(tf.strings.join([" ", words]), " ", MARK)
    return tf.where(words == "", "", marked)


def encode(text: Any, trie: Trie, length: int) -> Any:
    """Splits normalized texts (batch,) into pieces, the longest first: ids (batch, length), then `PADDING`.

    Texts of more pieces are cut.
    """
    import tensorflow as tf

    first = tf.strings.unicode_decode(text, "UTF-8")[:, : length * CHARACTERS]
    codes = tf.concat([first.to_tensor(0), tf.zeros([tf.shape(text)[0], LONGEST], tf.int32)], axis=1)
    sizes, ids = _longest_matches(_columns(codes, trie.alphabet), trie)
    rows = tf.cast(first.row_lengths(), tf.int32)
    place, steps = tf.zeros_like(rows), []
    for _ in range(length):
        inside = place < rows
        at = tf.where(inside, place, 0)
        steps.append(tf.where(inside, tf.gather(ids, at, batch_dims=1), PADDING))
        place += tf.where(inside, tf.gather(sizes, at, batch_dims=1), 0)
    return tf.stack(steps, axis=1)


def _columns(codes: Any, alphabet: Any) -> Any:
    """Returns the trie's column of each code point, (batch, characters)."""
    import tensorflow as tf

    flat = tf.reshape(codes, [-1])
    place = tf.minimum(tf.searchsorted(alphabet, flat), tf.size(alphabet) - 1)
    return tf.reshape(tf.where(tf.gather(alphabet, place) == flat, place + 1, 0), tf.shape(codes))


def _longest_matches(columns: Any, trie: Trie) -> tuple[Any, Any]:
    """Returns size and id of the longest piece that begins at each character, (batch, characters) each."""
    import tensorflow as tf

    width = tf.shape(columns)[1] - LONGEST + 1
    node = tf.ones_like(columns[:, :width])
    sizes, ids = node, UNKNOWN * node
    flat = tf.reshape(trie.children, [-1])
    for depth in range(LONGEST):
        node = tf.gather(flat, node * tf.shape(trie.children)[1] + columns[:, depth : depth + width])
        piece = tf.gather(trie.piece, node)
        sizes, ids = tf.where(piece > 0, depth + 1, sizes), tf.where(piece > 0, piece, ids)
    return sizes, ids


def join_pieces(ids: Any, spellings: Any) -> Any:
    """Joins pieces to texts: ids (batch, length) and spellings by id (entries,) to strings (batch,).

    What comes after the first `END` must be `END` or `PADDING`; their spellings are empty.
    """
    import tensorflow as tf

    text = tf.strings.reduce_join(tf.gather(spellings, ids), axis=1)
    return tf.strings.strip(tf.strings.regex_replace(text, MARK, " "))
