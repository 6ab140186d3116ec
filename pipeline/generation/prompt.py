"""Answers that go on from a prompt: the first tokens are given, the number of the others is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pipeline.generation.decode import NEVER

if TYPE_CHECKING:
    from pipeline.generation.decode import Step


def begin_with(step: Step, prompt: tf.Tensor, sizes: tf.Tensor, lengths: tf.Tensor, end: int) -> Step:
    """Returns a step that gives the tokens of a prompt first, and the end token after so many others.

    Args:
        step: The network, see `pipeline.generation.decode`.
        prompt: Tokens (rows, longest) of int32, those after the row's size of no meaning.
        sizes: Number of each row's tokens, (rows,) of int32.
        lengths: Number of tokens to add to each row, (rows,) of int32.
        end: The token that ends a row.
    """
    longest = tf.shape(prompt)[1]

    def forced(tokens: tf.Tensor, position: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        logits, state = step(tokens, position, state)
        given = tf.gather(prompt, tf.minimum(position, longest - 1), axis=1) if prompt.shape[1] else tokens
        over = position >= sizes + lengths
        wanted = tf.where(over, end, given)
        only = tf.one_hot(wanted, logits.shape[-1], 0.0, NEVER)
        fixed = tf.logical_or(position < sizes, over)
        return tf.where(fixed[:, None], only, tf.cast(logits, tf.float32)), state

    return forced
