"""Signatures of the exported model: preprocessing and network as functions, example requests, and JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from pipeline.export import transform_graph
from pipeline.features import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import keras

    from pipeline.recipe import Recipe
    from serving.core.model import LoadedModel

# Not warmed up: every version would take seconds longer to load for what few of them are ever asked.
SELDOM_ASKED = ("explain", "transform_features")


def make_request(loaded: LoadedModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns inputs for `serving_default`: raw inputs; zeros and empty texts if the signature takes others."""
    declared = loaded.signatures["serving_default"].inputs
    if declared.keys() == inputs.keys():
        return inputs
    sizes = {name: [1 if size < 0 else size for size in info.shape or ()] for name, info in declared.items()}
    types = {name: tf.as_dtype(info.dtype.name).as_numpy_dtype for name, info in declared.items()}
    return {name: np.full(sizes[name], b"" if types[name] is object else 0, types[name]) for name in declared}


def make_warm_up(loaded: LoadedModel, inputs: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Returns a request for each signature that a client asks with raw inputs; its first call takes seconds."""
    requests = {"serving_default": make_request(loaded, inputs)}
    for name, signature in loaded.signatures.items():
        if name not in SELDOM_ASKED and _takes(signature, inputs):
            requests.setdefault(name, {key: inputs[key] for key in signature.inputs})
    return requests


def _takes(signature: Any, inputs: dict[str, np.ndarray]) -> bool:
    """Whether a signature takes raw inputs as they are; `forecast` has the same names, and a history for each."""
    ranks = {name: len(info.shape) for name, info in signature.inputs.items() if info.shape is not None}
    return signature.inputs.keys() <= inputs.keys() and all(inputs[name].ndim == rank for name, rank in ranks.items())


def signatures_to_dict(signatures: dict[str, Any]) -> dict[str, Any]:
    """Returns a SavedModel's signatures as JSON: {name: {"inputs"|"outputs": {name: {"dtype", "shape"}}}}."""

    def tensors(infos: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {"dtype": info.dtype.name, "shape": [None if size < 0 else size for size in info.shape or ()]}
            for name, info in infos.items()
        }

    return {name: {"inputs": tensors(s.inputs), "outputs": tensors(s.outputs)} for name, s in signatures.items()}


@dataclass(frozen=True)
class ServingModel:
    """The model behind the endpoints; the argument of a recipe's `signatures`.

    Attributes:
        recipe: The recipe.
        model: The trained network, features -> outputs.
        transform: Transform's graph, raw features (batch, 1) -> preprocessed features.
        spec: Parsing specification of the raw features.
        sample: Raw inputs of some rows, from which `explain` finds the columns of each feature; without them the
            model has no `explain`.
        p: The hyperparameters that it was trained with.
    """

    recipe: Recipe
    model: keras.Model
    transform: Any
    spec: dict[str, Any]
    sample: dict[str, np.ndarray] = field(default_factory=dict)
    p: Any = None

    def features(self, raw: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Preprocesses raw inputs, tensors or arrays, each (batch,) or, of a vector, (batch, …), by name."""
        return self._transform_raw({name: tf.convert_to_tensor(value) for name, value in raw.items()})

    def outputs(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the network's outputs under the names that clients see."""
        if self.recipe.outputs:
            return self.recipe.outputs(self.model, features)
        answer = self.model(features, training=False)
        classes = self.recipe.data.classes
        if not classes:
            return {"value": tf.squeeze(answer, axis=-1) if answer.shape[-1] == 1 else answer}
        label = tf.gather(tf.constant(classes), tf.argmax(answer, axis=-1))
        return {"label": label, "probabilities": tf.cast(answer, tf.float32)}

    def parse_examples(self, examples: tf.Tensor, *, label: bool) -> dict[str, tf.Tensor]:
        """Preprocesses serialized `tf.train.Example`s (batch,), with or without the label."""
        without = set() if label else targets.answer_names(self.recipe.data)
        spec = {key: value for key, value in self.spec.items() if key not in without}
        return self._transform_raw(tf.io.parse_example(examples, spec))

    def _transform_raw(self, raw: dict[str, Any]) -> dict[str, tf.Tensor]:
        shaped = {name: tf.reshape(value, [-1, *self.spec[name].shape]) for name, value in raw.items()}
        return dict(
            self._transform_features(shaped) if targets.target_kinds(self.recipe.data) else self.transform(shaped)
        )

    @cached_property
    def _transform_features(self) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
        return transform_graph.cut_targets(self.transform)
