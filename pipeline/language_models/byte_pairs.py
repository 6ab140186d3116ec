"""Byte-pair encoding as GPT-2 does it, in the TensorFlow graph: any text becomes tokens, and they become it again.

A text is split into words, a word is its bytes, and the pair of neighbours that was learnt first is joined, again and
again.
Everything is constants and stateless operations, so that preprocessing and any server run it.

Sources: A. Radford et al., Language models are unsupervised multitask learners, 2019, section 2.2, and its encoder.py
(github.com/openai/gpt-2); the words of "smollm" are those of llama.cpp's src/llama-vocab.cpp: each digit alone, before
all else. RE2 cannot look ahead, as GPT-2's pattern does: a first step marks the space that belongs to the next word.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Mapping

CUT = b"\xff"  # between words; no text in UTF-8 has this byte, and no class of RE2 matches it
CONTROL = 3  # type of a token in GGUF that stands for no text
WHITE = r"\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
ENDINGS = "'s|'t|'re|'ve|'m|'ll|'d"
NUMBERS = {"smollm": r"\p{N}", "gpt-2": r" ?\p{N}+", "default": r" ?\p{N}+"}  # by tokenizer.ggml.pre
NO_RANK = 2**31 - 1


@dataclass(frozen=True)
class BytePairs:
    """A vocabulary with its joins.

    Attributes:
        spellings: Bytes of each token, in the order of the ids.
        joins: Ids of two tokens and of what they become, the one learnt first at first.
        special: Ids of tokens that stand for no text, such as "<|im_start|>".
        numbers: Pattern of the words that are numbers.
    """

    spellings: tuple[bytes, ...]
    joins: tuple[tuple[int, int, int], ...]
    special: tuple[int, ...]
    numbers: str

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> BytePairs:
        """Returns the vocabulary of a GGUF file.

        Raises:
            PipelineError: The file has a vocabulary of another kind.
        """
        kind = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
        if kind[0] != "gpt2" or kind[1] not in NUMBERS:
            raise PipelineError(
                "The vocabulary of the GGUF file is of a kind that is not read here.",
                expected=f"tokenizer.ggml.model gpt2, and tokenizer.ggml.pre one of {', '.join(NUMBERS)}",
                received=" ".join(map(str, kind)),
                action="use a model with byte-pair encoding as GPT-2's",
            )
        texts, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
        ids = {text: number for number, text in enumerate(texts)}
        pairs = [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]
        special = tuple(number for number, kind in enumerate(types) if kind == CONTROL)
        return cls(
            tuple(text.encode() if types[number] == CONTROL else spell(text) for number, text in enumerate(texts)),
            tuple((ids[left], ids[right], ids[left + right]) for left, right in pairs),
            special,
            NUMBERS[kind[1]],
        )

    def encode(self, text: Any) -> Any:
        """Maps texts (batch,) to the ids of their tokens, int32 RaggedTensor (batch, tokens of each).

        Bytes that are not UTF-8 become U+FFFD, and bytes that are no token go, as in Hugging Face's tokenizers and in
        llama.cpp. The text of a special token becomes that token.
        """
        import tensorflow as tf

        words = self.split_words(text)
        unique, places = tf.unique(words.flat_values)
        return _regroup(tf.gather(self._encode_words(unique), places), words)

    def split_words(self, text: Any) -> Any:
        """Splits texts (batch,) into words and special tokens: string RaggedTensor (batch, words of each)."""
        import tensorflow as tf

        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        names = sorted((self.spellings[number] for number in self.special), key=len, reverse=True)
        pattern = "|".join(re.escape(name.decode()) for name in names)
        marked = tf.strings.regex_replace(text, f"({pattern})", CUT + rb"\1" + CUT) if names else text
        parts = tf.strings.split(marked, CUT)
        flat = parts.flat_values
        is_word = self._find_special(flat) < 0
        flat = tf.where(is_word, self._mark_words(tf.where(is_word, flat, "")), flat)
        words = tf.strings.split(flat, CUT)
        merged = tf.RaggedTensor.from_row_splits(words.flat_values, tf.gather(words.row_splits, parts.row_splits))
        return tf.ragged.boolean_mask(merged, merged != b"")

    def _mark_words(self, text: Any) -> Any:
        """Returns texts with `CUT` between words."""
        import tensorflow as tf

        after = r"\p{N}" if self.numbers == NUMBERS["smollm"] else ""  # the text before a digit ends with its spaces
        text = tf.strings.regex_replace(text, rf"([{WHITE}])([{WHITE}][^{WHITE}{after}])", rb"\1" + CUT + rb"\2")
        other = rf" ?[^{WHITE}\p{{L}}\p{{N}}]+"
        pattern = rf"({ENDINGS}| ?\p{{L}}+|{self.numbers}|{other}|[{WHITE}]+)"
        return tf.strings.regex_replace(text, pattern, rb"\1" + CUT)

    def _find_special(self, words: Any) -> Any:
        """Returns the id of each word that is a special token, else -1; (words,) of int32."""
        import tensorflow as tf

        names, ids = [self.spellings[number] for number in self.special], [*self.special, -1]
        same = tf.concat([words[:, None] == tf.constant(names, tf.string), tf.fill([tf.size(words), 1], True)], axis=1)
        return tf.gather(tf.constant(ids, tf.int32), tf.argmax(same, axis=1))

    def _encode_words(self, words: Any) -> Any:
        """Returns the tokens of words (words,): int32 RaggedTensor (words, tokens of each)."""
        import tensorflow as tf

        special = self._find_special(words)
        letters = tf.strings.bytes_split(tf.where(special >= 0, b"\x00", words))
        word = tf.cast(letters.value_rowids(), tf.int32)
        values = tf.cast(tf.reshape(tf.io.decode_raw(letters.flat_values, tf.uint8), [-1]), tf.int32)
        own = tf.gather(special, word)
        tokens = tf.where(own >= 0, own, tf.gather(tf.constant(_byte_ids(self)), values))
        there = tokens >= 0
        tokens, word = tf.boolean_mask(tokens, there), tf.boolean_mask(word, there)
        tokens, word, _ = tf.while_loop(
            lambda _tokens, _word, going: going,
            lambda tokens, word, _going: self._join(tokens, word, tf.size(words)),
            (tokens, word, tf.constant(True)),
            shape_invariants=(tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([])),
            parallel_iterations=1,
        )
        return tf.RaggedTensor.from_value_rowids(tokens, tf.cast(word, tf.int64), letters.nrows(), validate=False)

    def _join(self, tokens: Any, word: Any, words: Any) -> tuple[Any, Any, Any]:
        """Joins in each word the pair of neighbours that was learnt first, wherever it is, and says if any was."""
        import tensorflow as tf

        keys, ranks, joined = map(tf.constant, _sorted_joins(self))
        pair = tf.cast(tokens[:-1], tf.int64) * len(self.spellings) + tf.cast(tokens[1:], tf.int64)
        place = tf.minimum(tf.searchsorted(keys, pair), tf.size(keys) - 1)
        known = (tf.gather(keys, place) == pair) & (word[:-1] == word[1:])
        rank = tf.where(known, tf.gather(ranks, place), NO_RANK)
        first = tf.gather(tf.math.unsorted_segment_min(rank, word[:-1], words), word[:-1])
        chosen = _every_other(known & (rank == first))
        after = tf.concat([tf.where(chosen, tf.gather(joined, place), tokens[:-1]), tokens[-1:]], axis=0)
        stays = tf.concat([tf.ones_like(tokens[:1], tf.bool), ~chosen], axis=0)[: tf.size(tokens)]
        return tf.boolean_mask(after, stays), tf.boolean_mask(word, stays), tf.reduce_any(chosen)

    def decode(self, ids: Any) -> Any:
        """Returns the bytes of tokens (batch, length) as texts (batch,); special tokens and -1 have none."""
        import tensorflow as tf

        texts = tf.constant([b"" if number in self.special else text for number, text in enumerate(self.spellings)])
        return tf.strings.reduce_join(tf.where(ids >= 0, tf.gather(texts, tf.maximum(ids, 0)), b""), axis=-1)


def _regroup(tokens: Any, words: Any) -> Any:
    """Returns the tokens of all words of each text."""
    import tensorflow as tf

    return tf.RaggedTensor.from_row_splits(tokens.flat_values, tf.gather(tokens.row_splits, words.row_splits))


def _every_other(chosen: Any) -> Any:
    """Returns the first, third, … of each run of places: pairs that overlap cannot both be joined."""
    import tensorflow as tf

    begins = chosen & ~tf.concat([tf.zeros_like(chosen[:1]), chosen[:-1]], axis=0)
    run = tf.cumsum(tf.cast(begins, tf.int32)) - 1  # -1 before the first one, where nothing is chosen
    starts = tf.concat([tf.cast(tf.where(begins)[:, 0], tf.int32), [0]], axis=0)
    offset = tf.range(tf.size(chosen)) - tf.gather(starts, tf.maximum(run, 0))
    return chosen & (offset % 2 == 0)


@functools.cache
def _letters() -> dict[str, int]:
    """Returns the byte for each letter by which GPT-2's files write it: those that can be seen stand for themselves."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


def spell(token: str) -> bytes:
    """Returns the bytes of a token as GPT-2's files write it; other letters stand for themselves, in UTF-8."""
    letters = _letters()
    return b"".join(bytes([letters[letter]]) if letter in letters else letter.encode() for letter in token)


@functools.cache
def _byte_ids(pairs: BytePairs) -> np.ndarray:
    """Returns the id of each byte, (256,); -1 for one that is no token."""
    ids = {spelling: number for number, spelling in enumerate(pairs.spellings) if number not in pairs.special}
    return np.array([ids.get(bytes([byte]), -1) for byte in range(256)], np.int32)


@functools.cache
def _sorted_joins(pairs: BytePairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns keys of the pairs in order, the rank of each, and what it becomes."""
    left, right, joined = np.array(pairs.joins, np.int64).reshape(-1, 3).T
    keys = left * len(pairs.spellings) + right
    order = np.argsort(keys)
    return keys[order], order.astype(np.int32), joined[order].astype(np.int32)
