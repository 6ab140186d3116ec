"""Byte-pair encoding as GPT-2 does it, in the TensorFlow graph: any text becomes tokens, and they become it again.

A text is split into words, a word is its bytes, and the pair of neighbours that was learnt first is joined, again and
again.
Everything is constants and stateless operations, so that preprocessing and any server run it.

Sources: A. Radford et al., Language models are unsupervised multitask learners, 2019, section 2.2, and its encoder.py
(github.com/openai/gpt-2); the words of "smollm" are those of llama.cpp's src/llama-vocab.cpp: each digit alone, before
all else; those of Llama 3 are in Keras Hub's byte_pair_tokenizer.py. RE2 cannot look ahead, as their patterns do: a
first step marks the space that belongs to the next word.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError
from serving.generation.template import BREAK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CUT = b"\xff"  # between words; no text in UTF-8 has this byte, and no class of RE2 matches it
CONTROL = 3  # type of a token in GGUF that stands for no text
BLANK = r"\t\x{0B}\x{0C} \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
WHITE = rf"\r\n{BLANK}"
ENDINGS = "'s|'t|'re|'ve|'m|'ll|'d"
GPT_2 = rf"{ENDINGS}| ?\p{{L}}+| ?\p{{N}}+| ?[^{WHITE}\p{{L}}\p{{N}}]+|[{WHITE}]+"
SMOLLM = rf"{ENDINGS}| ?\p{{L}}+|\p{{N}}| ?[^{WHITE}\p{{L}}\p{{N}}]+|[{WHITE}]+"
LLAMA = (
    rf"(?i:{ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^{WHITE}\p{{L}}\p{{N}}]+[\r\n]*"
    rf"|[{WHITE}]*[\r\n]+|[{WHITE}]+"
)
WORDS = {"gpt-2": GPT_2, "smollm": SMOLLM}  # by tokenizer.ggml.pre; "default" is another pattern there
LAST_SPACES = {  # white space, and the character of it that belongs to the word behind it
    GPT_2: rf"([{WHITE}])([{WHITE}][^{WHITE}])",
    SMOLLM: rf"([{WHITE}])([{WHITE}][^{WHITE}\p{{N}}])",
    LLAMA: rf"([{WHITE}])([{BLANK}][^{WHITE}])",
}
NO_RANK = 2**31 - 1


@dataclass(frozen=True)
class BytePairs:
    """A vocabulary with its joins.

    Attributes:
        spellings: Bytes of each token, in the order of the ids.
        joins: Ids of two tokens and of what they become, the one learnt first at first.
        special: Ids of tokens that stand for no text, such as "<|im_start|>".
        words: Pattern of a word: `GPT_2`, `SMOLLM` or `LLAMA`.
        breaks: Whether a `BREAK` within the text of a special token makes it ordinary text.
    """

    spellings: tuple[bytes, ...]
    joins: tuple[tuple[int, int, int], ...]
    special: tuple[int, ...]
    words: str
    breaks: bool = False

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> BytePairs:
        """Returns the vocabulary of a GGUF file.

        Raises:
            PipelineError: The file has a vocabulary of another kind.
        """
        kind = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
        if kind[0] != "gpt2" or kind[1] not in WORDS:
            raise PipelineError(
                "The vocabulary of the GGUF file is of a kind that is not read here.",
                expected=f"tokenizer.ggml.model gpt2, and tokenizer.ggml.pre one of {', '.join(WORDS)}",
                received=" ".join(map(str, kind)),
                action="use a model with byte-pair encoding as GPT-2's",
            )
        types = metadata["tokenizer.ggml.token_type"]
        special = [number for number, kind in enumerate(types) if kind == CONTROL]
        merges = [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]
        return cls.from_tokens(metadata["tokenizer.ggml.tokens"], special, merges, WORDS[kind[1]])

    @classmethod
    def from_tokens(
        cls, tokens: Sequence[str], special: Sequence[int], merges: Sequence[Sequence[str]], words: str
    ) -> BytePairs:
        """Returns the vocabulary of tokens and merges as GPT-2's files write them.

        Args:
            tokens: By id; "" for an id that no token has.
            special: Ids of the special ones.
            merges: Pairs of tokens, the one learnt first at first.
            words: Pattern of a word: `GPT_2`, `SMOLLM` or `LLAMA`.

        Raises:
            PipelineError: A merge joins what is no token.
        """
        ids = {token: number for number, token in enumerate(tokens) if token}
        try:
            joins = tuple((ids[left], ids[right], ids[left + right]) for left, right in merges)
        except (KeyError, ValueError) as error:
            raise PipelineError(
                "The vocabulary and its merges do not fit together.",
                expected="merges of two tokens each, which become a token",
                received=f"{type(error).__name__}: {error}",
                action="take the vocabulary and the merges of one and the same model",
            ) from error
        control = set(special)
        spellings = tuple(token.encode() if id_ in control else spell(token) for id_, token in enumerate(tokens))
        return cls(spellings, joins, tuple(special), words)

    @property
    def special_texts(self) -> tuple[str, ...]:
        """Texts of the special tokens."""
        return tuple(self.spellings[number].decode() for number in self.special)

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
        names = sorted(self.special_texts, key=len, reverse=True)
        pattern = f"({'|'.join(map(re.escape, names))})"
        marked = tf.strings.regex_replace(text, pattern, CUT + rb"\1" + CUT) if names else text
        parts = tf.strings.split(marked, CUT)
        flat = tf.strings.regex_replace(parts.flat_values, BREAK, "") if self.breaks else parts.flat_values
        is_word = self._find_special(flat) < 0
        flat = tf.where(is_word, self._mark_words(tf.where(is_word, flat, "")), flat)
        words = tf.strings.split(flat, CUT)
        merged = tf.RaggedTensor.from_row_splits(words.flat_values, tf.gather(words.row_splits, parts.row_splits))
        return tf.ragged.boolean_mask(merged, merged != b"")

    def _mark_words(self, text: Any) -> Any:
        """Returns texts with `CUT` between words."""
        import tensorflow as tf

        text = tf.strings.regex_replace(text, LAST_SPACES[self.words], rb"\1" + CUT + rb"\2")
        return tf.strings.regex_replace(text, f"({self.words})", rb"\1" + CUT)

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

    def decode_bytes(self, ids: Any) -> Any:
        """Returns the bytes of tokens (batch, length), (batch,); special tokens and -1 have none."""
        import tensorflow as tf

        texts = tf.constant([b"" if number in self.special else text for number, text in enumerate(self.spellings)])
        return tf.strings.reduce_join(tf.where(ids >= 0, tf.gather(texts, tf.maximum(ids, 0)), b""), axis=-1)

    def decode(self, ids: Any) -> Any:
        """Returns the texts of tokens (batch, length), (batch,).

        Bytes that are no UTF-8, such as half of a character at the end, are left out: JSON has none.
        """
        import tensorflow as tf

        return tf.strings.unicode_transcode(self.decode_bytes(ids), "UTF-8", "UTF-8", errors="ignore")


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
