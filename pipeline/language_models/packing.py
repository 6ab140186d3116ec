"""Rows of tokens one behind the other, without what is between them: half of a padded batch is padding.

Source: J. Zeng et al., Boosting distributed training performance of the unpadded BERT model, arXiv:2208.08124,
section 4.1; the mask and the groups of queries: J. Ainslie et al., GQA, EMNLP 2023, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

NOTHING = -1  # stands where a row has no token
NEVER = -1e9  # logit of what is not seen


@dataclass(frozen=True)
class Packed:
    """The tokens of a batch (batch, length) that are there.

    Attributes:
        index: Place of each token in the flat batch, (tokens,).
        row: Its row, (tokens,).
        position: How many tokens its row has before it, (tokens,).
        shape: Number of rows, and of the tokens of the longest one, (2,).
    """

    index: tf.Tensor
    row: tf.Tensor
    position: tf.Tensor
    shape: tf.Tensor

    @classmethod
    def from_ids(cls, ids: tf.Tensor) -> Packed:
        """Returns what is there in ids (batch, length), `NOTHING` elsewhere, at any place of a row."""
        there = tf.cast(ids != NOTHING, tf.int32)
        before = tf.reshape(tf.cumsum(there, axis=1, exclusive=True), [-1])
        index = tf.where(tf.reshape(there, [-1]))[:, 0]
        longest = tf.reduce_max(tf.reduce_sum(there, axis=1))
        row = tf.cast(index // tf.shape(ids, tf.int64)[1], tf.int32)
        return cls(index, row, tf.gather(before, index), tf.stack([tf.shape(ids)[0], longest]))

    def pack(self, values: tf.Tensor) -> tf.Tensor:
        """Returns (tokens, …) of (batch, length, …)."""
        return tf.gather(tf.reshape(values, [-1, *values.shape[2:]]), self.index)

    def attend(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """Attends from each token to itself and the earlier ones of its row.

        Args:
            query: (tokens, heads, size).
            key: (tokens, key heads, size); a group of queries shares a head.
            value: The same.

        Returns:
            (tokens, heads * size)
        """
        places = tf.stack([self.row, self.position], axis=1)
        query, key, value = (
            tf.transpose(tf.scatter_nd(places, part, tf.concat([self.shape, part.shape[1:]], 0)), [0, 2, 1, 3])
            for part in (query, key, value)
        )
        length = self.shape[1]
        seen = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)
        answer = tf.transpose(attend_groups(query, key, value, seen), [0, 2, 1, 3])  # (batch, length, heads, size)
        return tf.reshape(tf.gather_nd(answer, places), [-1, answer.shape[2] * answer.shape[3]])


def attend_groups(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, seen: tf.Tensor) -> tf.Tensor:
    """Attends with heads of keys that several heads of queries share.

    Args:
        query: (rows, heads, queries, size).
        key: (rows, key heads, places, size).
        value: The same.
        seen: Which places a query sees, (queries, places) or (rows, 1, 1, queries, places).

    Returns:
        (rows, heads, queries, size)
    """
    heads, size, kept = query.shape[1], query.shape[3], key.shape[1]
    shape = tf.shape(query)
    grouped = tf.reshape(query, [shape[0], kept, heads // kept * shape[2], size])
    logits = tf.matmul(grouped, key, transpose_b=True) * tf.cast(size**-0.5, query.dtype)
    each = tf.reshape(logits, [shape[0], kept, heads // kept, shape[2], tf.shape(key)[2]])
    weights = tf.nn.softmax(tf.where(seen, each, tf.cast(NEVER, each.dtype)))
    answer = tf.matmul(tf.reshape(weights, tf.shape(logits)), value)
    return tf.reshape(answer, [shape[0], heads, shape[2], size])
