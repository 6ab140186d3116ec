"""Integrated gradients of one row: what each of its numbers adds to a score, on the path from zero to its value.

Source: M. Sundararajan, A. Taly, Q. Yan, Axiomatic attribution for deep networks, ICML 2017, arXiv:1703.01365,
equation 1, with a baseline of zero. The paper sums at 20 to 300 equal steps (section 5) and has the user check that
the attributions add up to the change of the score (proposition 1). That check also gives the error of every piece of
the path. So here the piece with the largest error is halved repeatedly, as in QAG of R. Piessens et al., QUADPACK,
1983, until the sum is right: small steps where a softmax saturates or a relu has its kink, large ones elsewhere.

Floating-point features are scaled along the path. Positions in a vocabulary are integers and cannot be scaled: instead
the vector that an Embedding looks up for them is scaled. Everything else that depends on the positions, such as masks,
stays that of the row.
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


PathPoint = dict[str, tf.Tensor]  # the scaled tensors, by name
_NODES, _WEIGHTS = (part / 2 for part in np.polynomial.legendre.leggauss(8))  # on an interval of length 1
SUM_TOLERANCE = 0.005  # error of the sum, as a share of the change of the score
PIECE_TOLERANCE = 0.02  # error of the pieces, as a share of the score's total variation, even if they cancel
FLOAT_TOLERANCE = 1e-6  # as a share of the score: the precision of float32
MIN_PIECES, MAX_PIECES = 8, 512  # pieces; each stores a part of every attribution, so large rows get fewer
MAX_NUMBERS = 2**21  # numbers stored for all pieces, which also bounds the time of a request
# For both halves of a piece, in lengths of a half: the points at which the network is run, and their weights; the
# middle is last, and its score is needed too.
SHARES = np.concatenate([_NODES + 0.5, _NODES + 1.5, [1.0]]).astype(np.float32)
WEIGHTS = np.pad(np.kron(np.eye(2), _WEIGHTS), ((0, 0), (0, 1))).astype(np.float32)


class NoGradientError(Exception):
    """The score does not depend on the scaled tensors, or cannot be differentiated."""


def compute_attributions(
    score: Callable[[PathPoint], tf.Tensor], values: PathPoint, before: tf.Tensor, after: tf.Tensor
) -> PathPoint:
    """Computes what each number adds to the score.

    Args:
        score: {name: (points, …)} -> the score at each point, (points,).
        values: The end of the path, {name: (…)}; it begins at zero.
        before: The score at zero, ().
        after: The score at the end, ().

    Returns:
        {name: (…)}, of the shapes of `values`. Their sum is `after - before` within 0.5 %, unless pieces
        run out.

    Raises:
        NoGradientError: The score has no gradient; raised while the graph is traced.
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
    """Returns the sum of all attributions, ()."""
    return tf.add_n([tf.reduce_sum(value) for value in contributions.values()])


def _split_piece(
    score: Callable[[PathPoint], tf.Tensor], values: PathPoint, piece: PathPoint
) -> tuple[PathPoint, PathPoint]:
    """Returns both halves of a piece, {name: (2,)}, and their attributions, {name: (2, …)}."""
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
    """Returns the score at each point, (points,), and its gradient there, {name: (points, …)}."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        scores = score(points)
    gradients = tape.gradient(scores, points)
    if all(slope is None for slope in gradients.values()):
        raise NoGradientError("the score has no gradient with respect to the network's inputs")
    return scores, {name: tf.zeros_like(points[name]) if slope is None else slope for name, slope in gradients.items()}


class UnexplainableError(Exception):
    """An explanation of this network would be wrong; the message is the reason."""


@dataclass(frozen=True)
class EmbeddingLookup:
    """One call of an Embedding directly on an input of the network.

    Attributes:
        feature: Name of the input, integers.
        layer: The Embedding.
        vectors: Its symbolic output.
    """

    feature: str
    layer: keras.layers.Embedding
    vectors: keras.KerasTensor

    @property
    def key(self) -> str:
        """The name of the vectors in a `PathPoint`."""
        return f"{self.feature}/{self.vectors.name}"


@dataclass(frozen=True)
class AttributionPath:
    """The network as a function of the scaled tensors.

    Attributes:
        numbers: Features that are scaled.
        lookups: Look-ups whose vectors are scaled.
        answer: ({feature: (points, …)}, {name: (points, …)} scaled) -> (points, classes), or (points, 1).
    """

    numbers: tuple[str, ...]
    lookups: tuple[EmbeddingLookup, ...]
    answer: Callable[[Mapping[str, tf.Tensor], PathPoint], tf.Tensor]

    def end(self, features: Mapping[str, tf.Tensor]) -> PathPoint:
        """Returns the end of the path for a row, {name: (…)}; its features have no batch axis."""
        vectors = {lookup.key: tf.cast(lookup.layer(features[lookup.feature]), tf.float32) for lookup in self.lookups}
        return {**{name: features[name] for name in self.numbers}, **vectors}

    def sum_by_feature(self, contributions: PathPoint) -> dict[str, tf.Tensor]:
        """Returns attributions of each feature in its own shape; those of an embedding vector are summed."""
        sums = {name: contributions[name] for name in self.numbers}
        for lookup in self.lookups:
            row = tf.reduce_sum(contributions[lookup.key], axis=-1)
            sums[lookup.feature] = sums[lookup.feature] + row if lookup.feature in sums else row
        return sums


def make_path(recipe: Recipe, model: keras.Model, features: Mapping[str, tf.Tensor]) -> AttributionPath:
    """Returns the path of a recipe's network.

    Args:
        recipe: The recipe.
        model: Its network.
        features: Preprocessed features (batch, …); only dtypes and names matter.

    Raises:
        UnexplainableError: The network uses a feature in a way that cannot be scaled.
    """
    inputs = _network_inputs(model, features)
    numbers = tuple(name for name in inputs if features[name].dtype.is_floating)
    if own := recipe.explained:
        return AttributionPath(numbers, (), lambda row, point: own(model, {**row, **point})[:, None])
    positions = [name for name in inputs if name not in numbers]
    if not positions:
        return AttributionPath(numbers, (), lambda _, point: _network_scores(recipe, model, point))
    if _has_own_outputs(recipe):
        raise UnexplainableError(f"it has custom outputs, and integers as features ({', '.join(positions)})")
    lookups = _find_lookups(model, positions)
    unreachable = [name for name in positions if name not in {lookup.feature for lookup in lookups}]
    if unreachable:
        kinds = ", ".join(f"{name} ({features[name].dtype.name})" for name in unreachable)
        raise UnexplainableError(f"{kinds} enters the network without an Embedding")
    network = _network_after(model, lookups)
    return AttributionPath(numbers, lookups, lambda row, point: _to_scores(recipe, network(row, point)))


def _network_inputs(model: keras.Model, features: Mapping[str, tf.Tensor]) -> list[str]:
    """Returns the features that the network takes; all of them if it has no named inputs."""
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    return names if names and set(names) <= set(features) else sorted(features)


def _has_own_outputs(recipe: Recipe) -> bool:
    """Returns whether the recipe computes the output; for a classifier it is always the network's output."""
    return recipe.outputs is not None and not recipe.data.classes


def _network_scores(recipe: Recipe, model: keras.Model, features: PathPoint) -> tf.Tensor:
    """Returns the scores to explain, (batch, classes), or (batch, 1) for a number."""
    if not recipe.outputs or not _has_own_outputs(recipe):
        return _to_scores(recipe, model(features, training=False))
    outputs = recipe.outputs(model, features)
    floats = [name for name, value in outputs.items() if value.dtype.is_floating]
    if not recipe.predicted and len(floats) != 1:
        raise UnexplainableError(f"it has several outputs ({', '.join(floats)}), and none is declared as `predicted`")
    return _to_scores(recipe, outputs[recipe.predicted or floats[0]])


def _to_scores(recipe: Recipe, answer: tf.Tensor) -> tf.Tensor:
    """Returns probabilities, (batch, classes), or one number, (batch, 1): the mean of several, such as a forecast."""
    classes = len(recipe.data.classes)
    if not tf.is_tensor(answer) or (classes and answer.shape[1:] != (classes,)):
        raise UnexplainableError("the network's output is neither a number nor one probability for each class")
    answer = tf.cast(answer, tf.float32)
    if classes:
        return answer
    return tf.reduce_mean(tf.reshape(answer, [tf.shape(answer)[0], -1]), axis=1, keepdims=True)


def _find_lookups(model: keras.Model, positions: list[str]) -> tuple[EmbeddingLookup, ...]:
    """Returns every call of an Embedding directly on one of these inputs."""
    inputs = {id(tensor): tensor.name for tensor in getattr(model, "inputs", None) or () if tensor.name in positions}
    # Keras has no public API for all calls of a layer.
    nodes = [node for nodes in getattr(model, "_nodes_by_depth", {}).values() for node in nodes]
    return tuple(
        EmbeddingLookup(inputs[id(node.input_tensors[0])], node.operation, node.output_tensors[0])
        for node in nodes
        if isinstance(node.operation, keras.layers.Embedding) and id(node.input_tensors[0]) in inputs
    )


def _submodel(model: keras.Model, inputs: list[keras.KerasTensor]) -> keras.Model:
    """Returns the part of a network after some of its tensors, and leaves the network unchanged.

    Keras adds the nodes of the new model to the layers and connects the old inputs to them: without the repair below
    the old model could no longer be saved as `.keras`.
    """
    node_counts = [(o, len(o._inbound_nodes), len(o._outbound_nodes)) for o in model.operations]  # noqa: SLF001
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]  # noqa: SLF001
    histories = [(tensor, tensor._keras_history) for node in nodes for tensor in node.output_tensors]  # noqa: SLF001
    part = keras.Model(inputs, model.output)
    for operation, inbound, outbound in node_counts:
        del operation._inbound_nodes[inbound:], operation._outbound_nodes[outbound:]  # noqa: SLF001
    for tensor, history in histories:
        tensor._keras_history = history  # noqa: SLF001
    return part


def _network_after(
    model: keras.Model, lookups: tuple[EmbeddingLookup, ...]
) -> Callable[[Mapping[str, tf.Tensor], PathPoint], tf.Tensor]:
    """Returns the network after its look-ups, which also takes its usual inputs for masks and positions."""
    network = _submodel(model, [*model.inputs, *(lookup.vectors for lookup in lookups)])
    names = [tensor.name for tensor in model.inputs]

    def answer(row: Mapping[str, tf.Tensor], point: PathPoint) -> tf.Tensor:
        inputs = [point.get(name, row[name]) for name in names]
        vectors = [tf.cast(point[lookup.key], lookup.vectors.dtype) for lookup in lookups]
        masks = [None] * len(inputs) + [lookup.layer.compute_mask(row[lookup.feature]) for lookup in lookups]
        # Not `model(...)`: that warns that the network returns no mask, which nothing needs here.
        return network.call([*inputs, *vectors], training=False, mask=masks)

    return answer
