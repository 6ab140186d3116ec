"""Integrated gradients of one row: what each number of it adds to a score, on the way from zero to its value.

Source: M. Sundararajan, A. Taly, Q. Yan, Axiomatic attribution for deep networks, ICML 2017, arXiv:1703.01365,
equation 1, with a baseline of zero. The paper sums at 20 to 300 equal steps (section 5) and has the user check that
the attributions add up to the change of the score (proposition 1). That check tells the error of every piece of the
way, too; so here the piece with the largest one is halved again and again, as in QAG of R. Piessens et al., QUADPACK,
1983, until it adds up: a saturated softmax or a kink of relu is followed closely, and nothing is spent elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

Moved = dict[str, tf.Tensor]  # what the path moves, by name

_NODES, _WEIGHTS = (part / 2 for part in np.polynomial.legendre.leggauss(8))  # on a way of length 1
# Of the halves of a piece, in lengths of a half: where the network is asked, and what counts for each; the middle comes
# last, and is asked for its score.
SHARES = np.concatenate([_NODES + 0.5, _NODES + 1.5, [1.0]]).astype(np.float32)
WEIGHTS = np.pad(np.kron(np.eye(2), _WEIGHTS), ((0, 0), (0, 1))).astype(np.float32)
ENOUGH = 0.005  # of the change of the score may be missing in the sum
ROUGH = 0.02  # of all ups and downs of the score may be wrong in some piece, also where errors cancel
DIGITS = 1e-6  # of the score: float32 has no more
FEWEST, MOST = 64, 512  # pieces, for each of which a part of every attribution is kept: fewer of large rows
KEPT = 2**22  # numbers


class NoGradientError(Exception):
    """The score does not depend on what is moved, or not in a way that can be derived."""


def attributions(score: Callable[[Moved], tf.Tensor], values: Moved, before: tf.Tensor, after: tf.Tensor) -> Moved:
    """What each number adds to the score.

    Args:
        score: {name: (points, …)} to the score at each point, (points,).
        values: The end of the path, {name: (…)}; it begins at zero.
        before: The score at zero, ().
        after: The score at the end, ().

    Returns:
        {name: (…)}, of the shapes of `values`. Their sum is `after - before` within 0.5 %, unless pieces
        run out.

    Raises:
        NoGradientError: While the graph is made.
    """
    size = sum(value.shape.num_elements() for value in values.values())
    most = min(max(KEPT // size, FEWEST), MOST)
    digits = DIGITS * (tf.abs(before) + tf.abs(after))

    def unfinished(count: tf.Tensor, pieces: Moved, _: Moved) -> tf.Tensor:
        error, moves = pieces["error"], tf.abs(pieces["last"] - pieces["first"])
        missing = tf.abs(tf.reduce_sum(error)) > ENOUGH * tf.abs(after - before) + digits
        rough = tf.reduce_sum(tf.abs(error)) > ROUGH * tf.reduce_sum(moves) + digits
        return (count < most) & (missing | rough)

    def halved(count: tf.Tensor, pieces: Moved, found: Moved) -> tuple[tf.Tensor, Moved, Moved]:
        worst = tf.argmax(tf.abs(pieces["error"]), output_type=tf.int32)
        places = tf.stack([worst, count])[:, None]
        halves, parts = _halves(score, values, {name: value[worst] for name, value in pieces.items()})
        return count + 1, _with(pieces, places, halves), _with(found, places, parts)

    whole = {"begin": 0.0, "length": 1.0, "first": before, "last": after, "error": np.inf}
    pieces = {name: tf.pad(tf.reshape(value, [1]), [[0, most - 1]]) for name, value in whole.items()}
    found = {name: tf.zeros([most, *value.shape]) for name, value in values.items()}
    found = tf.while_loop(unfinished, halved, (tf.constant(1), pieces, found))[2]
    return {name: tf.reduce_sum(parts, axis=0) for name, parts in found.items()}


def total(found: Moved) -> tf.Tensor:
    """The sum of all attributions, ()."""
    return tf.add_n([tf.reduce_sum(value) for value in found.values()])


def _halves(score: Callable[[Moved], tf.Tensor], values: Moved, piece: Moved) -> tuple[Moved, Moved]:
    """Both halves of a piece, {name: (2,)}, and what is found on them, {name: (2, …)}."""
    length = piece["length"] / 2
    shares = piece["begin"] + length * SHARES
    scores, slopes = _slopes(score, {name: tf.tensordot(shares, value, 0) for name, value in values.items()})
    parts = {name: tf.tensordot(length * WEIGHTS, slopes[name], 1) * value for name, value in values.items()}
    ends = tf.stack([piece["first"], scores[-1], piece["last"]])
    sums = tf.add_n([tf.reduce_sum(part, axis=range(1, part.shape.rank)) for part in parts.values()])
    begin = tf.stack([piece["begin"], piece["begin"] + length])
    halves = {"begin": begin, "length": tf.repeat(length, 2), "first": ends[:2], "last": ends[1:]}
    return {**halves, "error": sums - (ends[1:] - ends[:2])}, parts


def _with(table: Moved, places: tf.Tensor, rows: Moved) -> Moved:
    return {name: tf.tensor_scatter_nd_update(column, places, rows[name]) for name, column in table.items()}


def _slopes(score: Callable[[Moved], tf.Tensor], points: Moved) -> tuple[tf.Tensor, Moved]:
    """The score at each point, (points,), and its gradient there, {name: (points, …)}."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        scores = score(points)
    found = tape.gradient(scores, points)
    if all(slope is None for slope in found.values()):
        raise NoGradientError("the score has no gradient with respect to the network's inputs")
    return scores, {name: tf.zeros_like(points[name]) if slope is None else slope for name, slope in found.items()}
