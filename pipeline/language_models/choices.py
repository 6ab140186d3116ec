"""An answer that begins with one of some texts: a tree of their tokens says which may come next.

Source: B. Willard, R. Louf, Efficient guided generation for large language models, arXiv:2307.09702, section 3, for a
finite set of texts ("guided choice").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Choose = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

NONE = -1  # stands where a node has no further token


def make_tree(choices: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each node the tokens that may come next, and the nodes behind them: (nodes, most) each.

    Node 0 is before the first token. The last node is behind every choice and has no tokens: there all may come.
    """
    prefixes = sorted({tuple(choice[:end]) for choice in choices for end in range(len(choice))}, key=len)
    numbers = {prefix: number for number, prefix in enumerate(prefixes)}
    children: list[dict[int, int]] = [{} for _ in prefixes]
    for choice in choices:
        for end, token in enumerate(choice):
            behind = numbers.get(tuple(choice[: end + 1]), len(prefixes))
            children[numbers[tuple(choice[:end])]][token] = behind
    most = max(map(len, children))
    tokens, nodes = (np.full((len(prefixes) + 1, most), NONE, np.int32) for _ in range(2))
    for number, own in enumerate(children):
        tokens[number, : len(own)], nodes[number, : len(own)] = list(own), list(own.values())
    return tokens, nodes


def choose_among(choices: Sequence[Sequence[int]]) -> Choose:
    """Returns what takes the likeliest token that a choice allows, and behind the choice the likeliest of all.

    Args:
        choices: Tokens of each text that an answer may begin with; none is the beginning of another one.
    """
    tokens, nodes = (tf.constant(part) for part in make_tree(choices))
    free = tokens.shape[0] - 1

    def choose(logits: tf.Tensor, _: tf.Tensor, node: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        allowed = tf.gather(tokens, node)  # (rows, most)
        own = tf.gather(logits, tf.maximum(allowed, 0), batch_dims=1)
        place = tf.argmax(tf.where(allowed == NONE, -np.inf, own), axis=1)
        picked, behind = (tf.gather(tf.gather(part, node), place, batch_dims=1) for part in (tokens, nodes))
        likeliest = tf.argmax(logits, axis=1, output_type=tf.int32)
        return tf.where(node == free, likeliest, picked), tf.where(node == free, free, behind)

    return choose
