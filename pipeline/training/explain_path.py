"""The way from nothing to a row: which numbers of the network an explanation moves, and what the network says there.

Numbers are moved themselves. Positions in a vocabulary cannot be moved by a half: what is moved is the vector that an
Embedding looks up for them, from zero. All that is derived from the positions themselves, masks and places, stays that
of the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.recipe import Recipe
    from pipeline.training.explain_integral import Moved


class UnexplainableError(Exception):
    """An explanation of this network would not mean what it says; the message is the reason."""


@dataclass(frozen=True)
class Lookup:
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
class Path:
    """The network as a function of what is moved.

    Attributes:
        numbers: Features that are moved themselves.
        lookups: Look-ups whose vectors are moved.
        answer: ({feature: (points, …)} of the row, {name: (points, …)} moved) to (points, classes), or (points, 1).
    """

    numbers: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    answer: Callable[[Mapping[str, tf.Tensor], Moved], tf.Tensor]

    def end(self, features: Mapping[str, tf.Tensor]) -> Moved:
        """Where a row lies, {name: (…)}; its features have no batch."""
        vectors = {lookup.key: tf.cast(lookup.layer(features[lookup.feature]), tf.float32) for lookup in self.lookups}
        return {**{name: features[name] for name in self.numbers}, **vectors}

    def by_feature(self, found: Moved) -> dict[str, tf.Tensor]:
        """Attributions of each feature in its own shape: those of a vector are added up."""
        summed = {name: found[name] for name in self.numbers}
        for lookup in self.lookups:
            one = tf.reduce_sum(found[lookup.key], axis=-1)
            summed[lookup.feature] = summed[lookup.feature] + one if lookup.feature in summed else one
        return summed


def of(recipe: Recipe, model: keras.Model, features: Mapping[str, tf.Tensor]) -> Path:
    """The path of a recipe's network.

    Args:
        recipe: The recipe.
        model: Its network.
        features: Preprocessed features (batch, …), of which only dtypes and names matter.

    Raises:
        UnexplainableError: A feature reaches the network in a way that cannot be moved.
    """
    taken = _inputs(model, features)
    numbers = tuple(name for name in taken if features[name].dtype.is_floating)
    positions = [name for name in taken if name not in numbers]
    if not positions:
        return Path(numbers, (), lambda _, moved: _scores(recipe, model, moved))
    if _answers_itself(recipe):
        raise UnexplainableError(f"it has outputs of its own, and integers as features ({', '.join(positions)})")
    lookups = _lookups(model, positions)
    without = [name for name in positions if name not in {lookup.feature for lookup in lookups}]
    if without:
        kinds = ", ".join(f"{name} ({features[name].dtype.name})" for name in without)
        raise UnexplainableError(f"{kinds} reaches the network otherwise than by an Embedding")
    network = _behind(model, lookups)
    return Path(numbers, lookups, lambda row, moved: _columns(recipe, network(row, moved)))


def _inputs(model: keras.Model, features: Mapping[str, tf.Tensor]) -> list[str]:
    """The features that the network takes; all of them where it does not tell."""
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    return names if names and set(names) <= set(features) else sorted(features)


def _answers_itself(recipe: Recipe) -> bool:
    """Whether what clients see is made by the recipe; of a classifier it is the network's answer in any case."""
    return recipe.outputs is not None and not recipe.data.classes


def _scores(recipe: Recipe, model: keras.Model, features: Moved) -> tf.Tensor:
    """What can be explained of an answer, (batch, classes), or (batch, 1) of a number."""
    if not recipe.outputs or not _answers_itself(recipe):
        return _columns(recipe, model(features, training=False))
    found = recipe.outputs(model, features)
    floats = [name for name, value in found.items() if value.dtype.is_floating]
    if not recipe.predicted and len(floats) != 1:
        raise UnexplainableError(f"its outputs are several ({', '.join(floats)}), and none is the one to be explained")
    return _columns(recipe, found[recipe.predicted or floats[0]])


def _columns(recipe: Recipe, answer: tf.Tensor) -> tf.Tensor:
    """Probabilities, (batch, classes), or one number, (batch, 1): of several, such as a forecast's, their mean."""
    classes = len(recipe.data.classes)
    if not tf.is_tensor(answer) or (classes and answer.shape[1:] != (classes,)):
        raise UnexplainableError("the network's answer is neither a number nor one probability for each class")
    answer = tf.cast(answer, tf.float32)
    if classes:
        return answer
    return tf.reduce_mean(tf.reshape(answer, [tf.shape(answer)[0], -1]), axis=1, keepdims=True)


def _lookups(model: keras.Model, positions: list[str]) -> tuple[Lookup, ...]:
    """Every call of an Embedding in the network on one of these inputs itself."""
    inputs = {id(tensor): tensor.name for tensor in getattr(model, "inputs", None) or () if tensor.name in positions}
    # Keras tells all calls of a layer nowhere else.
    nodes = [node for nodes in getattr(model, "_nodes_by_depth", {}).values() for node in nodes]
    return tuple(
        Lookup(inputs[id(node.input_tensors[0])], node.operation, node.output_tensors[0])
        for node in nodes
        if isinstance(node.operation, keras.layers.Embedding) and id(node.input_tensors[0]) in inputs
    )


def _from(model: keras.Model, inputs: list[keras.KerasTensor]) -> keras.Model:
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


def _behind(model: keras.Model, lookups: tuple[Lookup, ...]) -> Callable[[Mapping[str, tf.Tensor], Moved], tf.Tensor]:
    """The network from its look-ups on, which also takes its usual inputs for masks and places."""
    network = _from(model, [*model.inputs, *(lookup.vectors for lookup in lookups)])
    names = [tensor.name for tensor in model.inputs]

    def answer(row: Mapping[str, tf.Tensor], moved: Moved) -> tf.Tensor:
        taken = [moved.get(name, row[name]) for name in names]
        vectors = [tf.cast(moved[lookup.key], lookup.vectors.dtype) for lookup in lookups]
        masks = [None] * len(taken) + [lookup.layer.compute_mask(row[lookup.feature]) for lookup in lookups]
        # Not by calling it: that warns that a network hands no mask on, which nothing behind this one needs.
        return network.call([*taken, *vectors], training=False, mask=masks)

    return answer
