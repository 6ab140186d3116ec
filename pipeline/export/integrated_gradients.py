"""Integrated gradients of one row: what each number of it adds to a score, on the path from zero to its value.

Source: M. Sundararajan, A. Taly, Q. Yan, Axiomatic attribution for deep networks, ICML 2017, arXiv:1703.01365,
equation 1, with a baseline of zero. The paper sums at 20 to 300 equal steps (section 5) and has the user check that
the attributions add up to the change of the score (proposition 1). That check gives the error of every piece of the
path, too; so here the piece with the largest one is halved again and again, as in QAG of R. Piessens et al.,
QUADPACK, 1983, until it adds up: a saturated softmax or a kink of relu is followed closely, and nothing is spent
elsewhere.

Floating-point features are moved along the path themselves. Positions in a vocabulary cannot be moved by a half: what
is moved is the vector that an Embedding looks up for them. All that is derived from the positions themselves, such as
masks, stays that of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.recipe import Recipe


PathPoint = dict[str, tf.Tensor]  # what the path moves, by name
_NODES, _WEIGHTS = (part / 2 for part in np.polynomial.legendre.leggauss(8))  # on a way of length 1
SUM_TOLERANCE = 0.005  # of the change of the score may be missing in the sum
PIECE_TOLERANCE = 0.02  # of all ups and downs of the score may be wrong in some piece, also where errors cancel
FLOAT_TOLERANCE = 1e-6  # of the score: float32 has no more
MIN_PIECES, MAX_PIECES = 64, 512  # pieces, for each of which a part of every attribution is kept: fewer of large rows
MAX_NUMBERS = 2**22  # numbers
# Of the halves of a piece, in lengths of a half: where the network is run, and the weight of each; the middle comes
# last, and its score is needed too.
SHARES = np.concatenate([_NODES + 0.5, _NODES + 1.5, [1.0]]).astype(np.float32)
WEIGHTS = np.pad(np.kron(np.eye(2), _WEIGHTS), ((0, 0), (0, 1))).astype(np.float32)


class NoGradientError(Exception):
    """The score does not depend on what is moved, or not in a way that can be derived."""


def compute_attributions(
    score: Callable[[PathPoint], tf.Tensor], values: PathPoint, before: tf.Tensor, after: tf.Tensor
) -> PathPoint:
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
    most = min(max(MAX_NUMBERS // size, MIN_PIECES), MAX_PIECES)
    digits = FLOAT_TOLERANCE * (tf.abs(before) + tf.abs(after))

    def is_unfinished(count: tf.Tensor, pieces: PathPoint, _: PathPoint) -> tf.Tensor:
        error, moves = pieces["error"], tf.abs(pieces["last"] - pieces["first"])
        missing = tf.abs(tf.reduce_sum(error)) > SUM_TOLERANCE * tf.abs(after - before) + digits
        rough = tf.reduce_sum(tf.abs(error)) > PIECE_TOLERANCE * tf.reduce_sum(moves) + digits
        return (count < most) & (missing | rough)

    def halve(count: tf.Tensor, pieces: PathPoint, contributions: PathPoint) -> tuple[tf.Tensor, PathPoint, PathPoint]:
        worst = tf.argmax(tf.abs(pieces["error"]), output_type=tf.int32)
        places = tf.stack([worst, count])[:, None]
        halves, parts = _split_piece(score, values, {name: value[worst] for name, value in pieces.items()})
        return count + 1, _scatter_rows(pieces, places, halves), _scatter_rows(contributions, places, parts)

    whole = {"begin": 0.0, "length": 1.0, "first": before, "last": after, "error": np.inf}
    pieces = {name: tf.pad(tf.reshape(value, [1]), [[0, most - 1]]) for name, value in whole.items()}
    contributions = {name: tf.zeros([most, *value.shape]) for name, value in values.items()}
    contributions = tf.while_loop(is_unfinished, halve, (tf.constant(1), pieces, contributions))[2]
    return {name: tf.reduce_sum(parts, axis=0) for name, parts in contributions.items()}


def sum_attributions(contributions: PathPoint) -> tf.Tensor:
    """The sum of all attributions, ()."""
    return tf.add_n([tf.reduce_sum(value) for value in contributions.values()])


def _split_piece(
    score: Callable[[PathPoint], tf.Tensor], values: PathPoint, piece: PathPoint
) -> tuple[PathPoint, PathPoint]:
    """Both halves of a piece, {name: (2,)}, and what is found on them, {name: (2, …)}."""
    length = piece["length"] / 2
    shares = piece["begin"] + length * SHARES
    scores, slopes = _score_gradients(score, {name: tf.tensordot(shares, value, 0) for name, value in values.items()})
    parts = {name: tf.tensordot(length * WEIGHTS, slopes[name], 1) * value for name, value in values.items()}
    ends = tf.stack([piece["first"], scores[-1], piece["last"]])
    sums = tf.add_n([tf.reduce_sum(part, axis=range(1, part.shape.rank)) for part in parts.values()])
    begin = tf.stack([piece["begin"], piece["begin"] + length])
    halves = {"begin": begin, "length": tf.repeat(length, 2), "first": ends[:2], "last": ends[1:]}
    return {**halves, "error": sums - (ends[1:] - ends[:2])}, parts


def _scatter_rows(table: PathPoint, places: tf.Tensor, rows: PathPoint) -> PathPoint:
    return {name: tf.tensor_scatter_nd_update(column, places, rows[name]) for name, column in table.items()}


def _score_gradients(score: Callable[[PathPoint], tf.Tensor], points: PathPoint) -> tuple[tf.Tensor, PathPoint]:
    """The score at each point, (points,), and its gradient there, {name: (points, …)}."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        scores = score(points)
    gradients = tape.gradient(scores, points)
    if all(slope is None for slope in gradients.values()):
        raise NoGradientError("the score has no gradient with respect to the network's inputs")
    return scores, {name: tf.zeros_like(points[name]) if slope is None else slope for name, slope in gradients.items()}


class UnexplainableError(Exception):
    """An explanation of this network would not mean what it says; the message is the reason."""


@dataclass(frozen=True)
class EmbeddingLookup:
    """One look-up of an Embedding straight from an input of the network.

    Attributes:
        feature: Name of the input, integers.
        layer: The Embedding.
        vectors: Its symbolic answer.
    """

    feature: str
    layer: keras.layers.Embedding
    vectors: keras.KerasTensor

    @property
    def key(self) -> str:
        """Its name on the path."""
        return f"{self.feature}/{self.vectors.name}"


@dataclass(frozen=True)
class AttributionPath:
    """The network as a function of what is moved.

    Attributes:
        numbers: Features that are moved themselves.
        lookups: Look-ups whose vectors are moved.
        answer: ({feature: (points, …)} of the row, {name: (points, …)} moved) to (points, classes), or (points, 1).
    """

    numbers: tuple[str, ...]
    lookups: tuple[EmbeddingLookup, ...]
    answer: Callable[[Mapping[str, tf.Tensor], PathPoint], tf.Tensor]

    def end(self, features: Mapping[str, tf.Tensor]) -> PathPoint:
        """Where a row lies, {name: (…)}; its features have no batch."""
        vectors = {lookup.key: tf.cast(lookup.layer(features[lookup.feature]), tf.float32) for lookup in self.lookups}
        return {**{name: features[name] for name in self.numbers}, **vectors}

    def sum_by_feature(self, contributions: PathPoint) -> dict[str, tf.Tensor]:
        """Attributions of each feature in its own shape: those of a vector are added up."""
        sums = {name: contributions[name] for name in self.numbers}
        for lookup in self.lookups:
            row = tf.reduce_sum(contributions[lookup.key], axis=-1)
            sums[lookup.feature] = sums[lookup.feature] + row if lookup.feature in sums else row
        return sums


def make_path(recipe: Recipe, model: keras.Model, features: Mapping[str, tf.Tensor]) -> AttributionPath:
    """The path of a recipe's network.

    Args:
        recipe: The recipe.
        model: Its network.
        features: Preprocessed features (batch, …), of which only dtypes and names matter.

    Raises:
        UnexplainableError: A feature reaches the network in a way that cannot be moved.
    """
    inputs = _network_inputs(model, features)
    numbers = tuple(name for name in inputs if features[name].dtype.is_floating)
    positions = [name for name in inputs if name not in numbers]
    if not positions:
        return AttributionPath(numbers, (), lambda _, point: _network_scores(recipe, model, point))
    if _has_own_outputs(recipe):
        raise UnexplainableError(f"it has outputs of its own, and integers as features ({', '.join(positions)})")
    lookups = _find_lookups(model, positions)
    unreachable = [name for name in positions if name not in {lookup.feature for lookup in lookups}]
    if unreachable:
        kinds = ", ".join(f"{name} ({features[name].dtype.name})" for name in unreachable)
        raise UnexplainableError(f"{kinds} reaches the network otherwise than by an Embedding")
    network = _network_after(model, lookups)
    return AttributionPath(numbers, lookups, lambda row, point: _to_scores(recipe, network(row, point)))


def _network_inputs(model: keras.Model, features: Mapping[str, tf.Tensor]) -> list[str]:
    """The features that the network takes; all of them where it does not tell."""
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    return names if names and set(names) <= set(features) else sorted(features)


def _has_own_outputs(recipe: Recipe) -> bool:
    """Whether what clients see is made by the recipe; of a classifier it is the network's answer in any case."""
    return recipe.outputs is not None and not recipe.data.classes


def _network_scores(recipe: Recipe, model: keras.Model, features: PathPoint) -> tf.Tensor:
    """What can be explained of an answer, (batch, classes), or (batch, 1) of a number."""
    if not recipe.outputs or not _has_own_outputs(recipe):
        return _to_scores(recipe, model(features, training=False))
    outputs = recipe.outputs(model, features)
    floats = [name for name, value in outputs.items() if value.dtype.is_floating]
    if not recipe.predicted and len(floats) != 1:
        raise UnexplainableError(f"its outputs are several ({', '.join(floats)}), and none is the one to be explained")
    return _to_scores(recipe, outputs[recipe.predicted or floats[0]])


def _to_scores(recipe: Recipe, answer: tf.Tensor) -> tf.Tensor:
    """Probabilities, (batch, classes), or one number, (batch, 1): of several, such as a forecast's, their mean."""
    classes = len(recipe.data.classes)
    if not tf.is_tensor(answer) or (classes and answer.shape[1:] != (classes,)):
        raise UnexplainableError("the network's answer is neither a number nor one probability for each class")
    answer = tf.cast(answer, tf.float32)
    if classes:
        return answer
    return tf.reduce_mean(tf.reshape(answer, [tf.shape(answer)[0], -1]), axis=1, keepdims=True)


def _find_lookups(model: keras.Model, positions: list[str]) -> tuple[EmbeddingLookup, ...]:
    """Every call of an Embedding in the network on one of these inputs itself."""
    inputs = {id(tensor): tensor.name for tensor in getattr(model, "inputs", None) or () if tensor.name in positions}
    # Keras tells all calls of a layer nowhere else.
    nodes = [node for nodes in getattr(model, "_nodes_by_depth", {}).values() for node in nodes]
    return tuple(
        EmbeddingLookup(inputs[id(node.input_tensors[0])], node.operation, node.output_tensors[0])
        for node in nodes
        if isinstance(node.operation, keras.layers.Embedding) and id(node.input_tensors[0]) in inputs
    )


def _submodel(model: keras.Model, inputs: list[keras.KerasTensor]) -> keras.Model:
    """The part of a network behind some of its tensors, which leaves the network as it was.

    Keras adds the nodes of the new model to the layers and has the old inputs come from them: the old one could be
    written into no `.keras` file any more.
    """
    known = [(o, len(o._inbound_nodes), len(o._outbound_nodes)) for o in model.operations]  # noqa: SLF001
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]  # noqa: SLF001
    histories = [(tensor, tensor._keras_history) for node in nodes for tensor in node.output_tensors]  # noqa: SLF001
    part = keras.Model(inputs, model.output)
    for operation, inbound, outbound in known:
        del operation._inbound_nodes[inbound:], operation._outbound_nodes[outbound:]  # noqa: SLF001
    for tensor, history in histories:
        tensor._keras_history = history  # noqa: SLF001
    return part


def _network_after(
    model: keras.Model, lookups: tuple[EmbeddingLookup, ...]
) -> Callable[[Mapping[str, tf.Tensor], PathPoint], tf.Tensor]:
    """The network from its look-ups on, which also takes its usual inputs for masks and places."""
    network = _submodel(model, [*model.inputs, *(lookup.vectors for lookup in lookups)])
    names = [tensor.name for tensor in model.inputs]

    def answer(row: Mapping[str, tf.Tensor], point: PathPoint) -> tf.Tensor:
        inputs = [point.get(name, row[name]) for name in names]
        vectors = [tf.cast(point[lookup.key], lookup.vectors.dtype) for lookup in lookups]
        masks = [None] * len(inputs) + [lookup.layer.compute_mask(row[lookup.feature]) for lookup in lookups]
        # Not by calling it: that warns that a network hands no mask on, which nothing behind this one needs.
        return network.call([*inputs, *vectors], training=False, mask=masks)

    return answer
