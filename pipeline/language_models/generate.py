"""Texts that go on from their prompts, some rows at a time, each with its own length, seed and temperature.

`pipeline.generation.decode` takes one step at the same position in all rows; here each prompt is as long as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pipeline.generation.decode import draw_gumbel
from pipeline.language_models.cache import RowCache
from pipeline.language_models.packing import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.language_models.choices import Choose
    from pipeline.language_models.llama import Llama

TOGETHER = 64  # rows that are computed at the same time; more are no faster and need more memory


def choose_likeliest(logits: tf.Tensor, _: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the likeliest token of each row, and the state as it is."""
    return tf.argmax(logits, axis=-1, output_type=tf.int32), state


def choose_by_seed(seed: tf.Tensor, temperature: tf.Tensor) -> Choose:
    """Returns what draws a token for each row by its seed and temperature (rows,); 0 takes the likeliest one."""

    def choose(logits: tf.Tensor, step: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noise = tf.where(temperature > 0, temperature, 0.0)[:, None] * draw_gumbel(seed, step, logits.shape[-1])
        return choose_likeliest(logits + noise, step, state)

    return choose


@dataclass(frozen=True)
class Continuation:
    """A network that goes on from prompts.

    Attributes:
        network: The network.
        end: Ids of which each ends an answer; it is no part of it.
    """

    network: Llama
    end: tuple[int, ...]

    def write(self, prompts: tf.Tensor, length: tf.Tensor, choose: Choose) -> tf.Tensor:
        """Returns the tokens that follow, `NOTHING` behind the end: (rows, longest).

        Args:
            prompts: Ids (rows, tokens), `NOTHING` behind the last one; at least one each.
            length: Tokens of each answer at most, (rows,).
            choose: (logits (rows, vocabulary), step, its own state (rows,), 0 at first) -> tokens (rows,), state.
        """
        sizes = tf.reduce_sum(tf.cast(prompts != NOTHING, tf.int32), axis=1)
        prompts = prompts[:, : tf.reduce_max(tf.concat([sizes, [1]], 0))]  # padding would be computed, too
        steps = tf.reduce_max(tf.concat([length, [1]], 0))
        logits, cache = self._read(prompts, sizes, steps)
        first, state = choose(logits, tf.constant(0), tf.zeros_like(sizes))
        ended = self._ends(first) | (length < 1)
        answer = tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=[None])
        answer = answer.write(0, tf.where(ended, NOTHING, first))

        def going(step: tf.Tensor, ended: tf.Tensor, *_: Any) -> tf.Tensor:
            return (step < steps) & ~tf.reduce_all(ended)

        def advance(
            step: tf.Tensor, ended: tf.Tensor, last: tf.Tensor, state: tf.Tensor, answer: Any, parts: Any
        ) -> tuple[Any, ...]:
            place = sizes + step - 1
            cache = RowCache(parts)
            logits = self.network.logits(self.network.states(last, place, cache.at(place[:, None])))
            token, state = choose(tf.cast(logits, tf.float32), step, state)
            ended |= self._ends(token) | (step >= length)
            return step + 1, ended, token, state, answer.write(step, tf.where(ended, NOTHING, token)), cache.parts

        begin = (tf.constant(1), ended, first, state, answer, cache.parts)
        answer = tf.while_loop(going, advance, begin, parallel_iterations=1)[4]
        return tf.transpose(answer.stack())

    def _read(self, prompts: tf.Tensor, sizes: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, RowCache]:
        """Returns the logits behind each prompt, and a cache with room for the answers.

        What is computed behind the end of a shorter prompt is never seen, and its answer takes those places.
        """
        network, shape = self.network, tf.shape(prompts)
        blocks, places = len(network.blocks), shape[1] + steps
        cache = RowCache.empty(blocks, shape[0], network.key_heads, places, network.size)
        positions = tf.broadcast_to(tf.range(shape[1]), shape)
        tokens = tf.maximum(tf.reshape(prompts, [-1]), 0)
        states = network.states(tokens, tf.reshape(positions, [-1]), cache.at(positions))
        last = tf.gather(states, tf.range(shape[0]) * shape[1] + sizes - 1)
        return tf.cast(network.logits(last), tf.float32), cache

    def _ends(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(tokens[:, None] == tf.constant(self.end, tf.int32), axis=1)


def map_parts(function: Callable[..., tf.Tensor], *rows: tf.Tensor, together: int = TOGETHER) -> tf.Tensor:
    """Applies a function to some rows at a time.

    Args:
        function: Tensors (part, …) -> strings (part,).
        rows: Tensors (batch, …).
        together: Rows of a part; the last one may have fewer.

    Returns:
        (batch,)
    """
    count = tf.shape(rows[0])[0]

    def apply(at: tf.Tensor, answer: Any) -> tuple[tf.Tensor, Any]:
        part = function(*(each[at : at + together] for each in rows))
        return at + together, answer.write(at // together, part)

    answer = tf.TensorArray(tf.string, 0, dynamic_size=True, element_shape=[None], infer_shape=False)
    _, answer = tf.while_loop(lambda at, _: at < count, apply, (tf.constant(0), answer), parallel_iterations=1)
    return tf.cond(count > 0, answer.concat, lambda: tf.constant([], tf.string))
