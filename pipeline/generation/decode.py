"""Decoders of networks that predict the next token: greedy, temperature and top-p sampling, beam search.

A network is a function `step(tokens, position, state) -> (logits, state)`: `tokens` (rows,) are those at a position,
the same one in all rows, and `logits` (rows, vocabulary) belong to the next one. `state` is any nest of tensors
(rows, …) of fixed shapes, such as the keys and values of attention (`pipeline.generation.cache`); entry i belongs to
row i.

All shapes are static except that of the batch. A row ends at its first end token; the loop ends when all rows have
ended, and what a row gets depends on no other row: each one draws by its own seed.

keras-hub has samplers, too, but draws with one seed for the whole batch, and its beams have no length penalty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, Any]]
    Choose = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

NEVER = -1e9  # logit of a token that cannot come


def greedy(step: Step, start: tf.Tensor, state: Any, *, length: int, end: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes the most likely token in each step.

    Args:
        step: The network, see above.
        start: First token of each row, (rows,) of int32; it is not part of the answer.
        state: The state before the first step.
        length: Number of steps at most.
        end: The token that ends a row.

    Returns:
        Tokens (rows, length) of int32, `end` from the end on, and the log probability of each row's tokens, (rows,).
    """
    return _decode(step, start, state, lambda logits, _: tf.argmax(logits, axis=-1, output_type=tf.int32), length, end)


def sample(
    step: Step,
    start: tf.Tensor,
    state: Any,
    *,
    seed: tf.Tensor,
    temperature: tf.Tensor,
    top_p: tf.Tensor,
    length: int,
    end: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws each token from the likeliest ones, whose probabilities sum to `top_p`.

    Source: A. Holtzman et al., The curious case of neural text degeneration, ICLR 2020, section 3.1.

    Args:
        step: The network, see above.
        start: First token of each row, (rows,) of int32.
        state: The state before the first step.
        seed: Seed of each row, (rows,) of int64; the same seed gives the same tokens.
        temperature: Divides the logits of each row, (rows,); 0 takes the most likely token.
        top_p: Probability mass that is drawn from, (rows,), in (0, 1]; 1 draws from all tokens.
        length: Number of steps at most.
        end: The token that ends a row.

    Returns:
        As `greedy`; the probabilities are those of the network, before temperature and `top_p`.
    """

    def choose(logits: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        scaled = keep_likeliest(logits / tf.maximum(temperature, 1e-6)[:, None], top_p)
        drawn = tf.argmax(scaled + draw_gumbel(seed, position, logits.shape[-1]), axis=-1, output_type=tf.int32)
        return tf.where(temperature > 0, drawn, tf.argmax(logits, axis=-1, output_type=tf.int32))

    return _decode(step, start, state, choose, length, end)


def keep_likeliest(logits: tf.Tensor, top_p: tf.Tensor) -> tf.Tensor:
    """Returns logits (rows, vocabulary) with `NEVER` beyond the likeliest tokens whose probabilities sum to `top_p`."""
    ordered = tf.sort(tf.nn.softmax(logits), direction="DESCENDING")
    before = tf.cumsum(ordered, axis=-1, exclusive=True)  # the first token is always kept
    least = tf.reduce_min(tf.where(before < top_p[:, None], ordered, 2.0), axis=-1, keepdims=True)
    return tf.where(tf.nn.softmax(logits) >= least, logits, NEVER)


def draw_gumbel(seed: tf.Tensor, position: tf.Tensor, size: int) -> tf.Tensor:
    """Returns Gumbel noise (rows, size): the largest logit with it is a draw from their softmax (Gumbel-max trick)."""

    def draw(row_seed: tf.Tensor) -> tf.Tensor:
        pair = tf.stack([row_seed, tf.cast(position, tf.int64)])
        return tf.random.stateless_uniform([size], pair, minval=1e-20, maxval=1.0)

    uniform = tf.map_fn(draw, tf.cast(seed, tf.int64), fn_output_signature=tf.TensorSpec([size], tf.float32))
    return -tf.math.log(-tf.math.log(uniform))


def _decode(
    step: Step, start: tf.Tensor, state: Any, choose: Choose, length: int, end: int
) -> tuple[tf.Tensor, tf.Tensor]:
    rows = tf.shape(start)[0]

    def going(position: tf.Tensor, ended: tf.Tensor, *_: Any) -> tf.Tensor:
        return tf.logical_and(position < length, tf.logical_not(tf.reduce_all(ended)))

    def advance(
        position: tf.Tensor, ended: tf.Tensor, last: tf.Tensor, answer: tf.Tensor, score: tf.Tensor, state: Any
    ) -> tuple[Any, ...]:
        logits, state = step(last, position, state)
        logits = tf.cast(logits, tf.float32)
        token = tf.where(ended, end, choose(logits, position))
        own = tf.gather(tf.nn.log_softmax(logits), token, batch_dims=1)
        score += tf.where(ended, 0.0, own)
        return position + 1, ended | (token == end), token, _write(answer, token, position, length), score, state

    before = (
        tf.constant(0),
        tf.zeros([rows], tf.bool),
        tf.cast(start, tf.int32),
        tf.fill([rows, length], end),
        tf.zeros([rows]),
        state,
    )
    shapes = (
        tf.TensorShape([]),
        tf.TensorShape([None]),
        tf.TensorShape([None]),
        tf.TensorShape([None, length]),
        tf.TensorShape([None]),
        tf.nest.map_structure(lambda part: part.shape, state),
    )
    _, _, _, answer, score, _ = tf.while_loop(going, advance, before, shapes)
    return answer, score


def _write(answer: tf.Tensor, token: tf.Tensor, position: tf.Tensor, length: int) -> tf.Tensor:
    """Returns the answer (rows, length) with the tokens (rows,) at a position."""
    return tf.where(tf.range(length)[None] == position, token[:, None], answer)


def beam_search(
    step: Step, start: tf.Tensor, state: Any, *, beams: int, length: int, end: int, penalty: float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Searches the likeliest sequence among the best `beams` ones of each step.

    Finished sequences are compared by their log probability divided by a power of their length. Source: Y. Wu et al.,
    Google's neural machine translation system, arXiv:1609.08144, section 7; here the penalty is length ** penalty.

    Args:
        step: The network, see above; it is called with rows * beams rows, those of one row next to each other.
        start: First token of each row, (rows,) of int32.
        state: The state before the first step, tensors (rows, …).
        beams: Sequences that are kept per row.
        length: Number of steps at most.
        end: The token that ends a sequence.
        penalty: Power of the length; 0 prefers short sequences.

    Returns:
        Tokens (rows, length) of int32, `end` from the end on, and the log probability of each row's tokens, (rows,).
    """
    rows = tf.shape(start)[0]
    wide = tf.nest.map_structure(lambda part: tf.repeat(part, beams, axis=0), state)
    first = tf.tile(tf.constant([[0.0] + [NEVER] * (beams - 1)]), [rows, 1])  # all beams are equal: one of them counts

    def going(position: tf.Tensor, ended: tf.Tensor, *_: Any) -> tf.Tensor:
        return tf.logical_and(position < length, tf.logical_not(tf.reduce_all(ended)))

    def advance(
        position: tf.Tensor, ended: tf.Tensor, last: tf.Tensor, answer: tf.Tensor, score: tf.Tensor, state: Any
    ) -> tuple[Any, ...]:
        logits, state = step(tf.reshape(last, [-1]), position, state)
        size = logits.shape[-1]
        steps = tf.reshape(tf.nn.log_softmax(tf.cast(logits, tf.float32)), [-1, beams, size])
        stay = tf.where(tf.range(size) == end, 0.0, NEVER)  # an ended sequence goes on with `end`, at no cost
        total = score[:, :, None] + tf.where(ended[:, :, None], stay, steps)
        ranked = _normalize(total, _lengths(answer, end)[:, :, None], penalty)
        _, places = tf.math.top_k(tf.reshape(ranked, [-1, beams * size]), beams)  # (rows, beams)
        parent, token = places // size, places % size
        score = tf.gather(tf.reshape(total, [-1, beams * size]), places, batch_dims=1)
        answer, ended = (tf.gather(part, parent, batch_dims=1) for part in (answer, ended))
        answer = tf.where(tf.range(length)[None, None] == position, token[:, :, None], answer)
        flat = tf.reshape(parent + tf.range(rows)[:, None] * beams, [-1])
        state = tf.nest.map_structure(lambda part: tf.ensure_shape(tf.gather(part, flat), part.shape), state)
        return position + 1, ended | (token == end), token, answer, score, state

    before = (
        tf.constant(0),
        tf.zeros([rows, beams], tf.bool),
        tf.repeat(tf.cast(start, tf.int32)[:, None], beams, axis=1),
        tf.fill([rows, beams, length], end),
        first,
        wide,
    )
    shapes = (
        tf.TensorShape([]),
        tf.TensorShape([None, beams]),
        tf.TensorShape([None, beams]),
        tf.TensorShape([None, beams, length]),
        tf.TensorShape([None, beams]),
        tf.nest.map_structure(lambda part: tf.TensorShape([None, *part.shape[1:]]), wide),
    )
    _, _, _, answer, score, _ = tf.while_loop(going, advance, before, shapes)
    best = tf.argmax(_normalize(score, _lengths(answer, end), penalty), axis=1, output_type=tf.int32)
    return tf.gather(answer, best, batch_dims=1), tf.gather(score, best, batch_dims=1)


def _lengths(answer: tf.Tensor, end: int) -> tf.Tensor:
    """Returns the number of tokens up to the first `end`, or to the next token, as floats."""
    return 1.0 + tf.reduce_sum(tf.cast(answer != end, tf.float32), axis=-1)


def _normalize(score: tf.Tensor, lengths: tf.Tensor, penalty: float) -> tf.Tensor:
    return score / tf.pow(lengths, penalty)
