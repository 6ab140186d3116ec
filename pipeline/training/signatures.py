"""Signatures of an exported model: what they are asked with, and their description as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from serving.model import LoadedModel


def requests(loaded: LoadedModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `serving_default` is asked with: raw inputs; zeros where the recipe has one of its own that takes others."""
    declared = loaded.signatures["serving_default"].inputs
    if declared.keys() == inputs.keys():
        return inputs
    sizes = {name: [1 if size < 0 else size for size in info.shape or ()] for name, info in declared.items()}
    return {name: np.zeros(sizes[name], tf.as_dtype(info.dtype.name).as_numpy_dtype) for name, info in declared.items()}


def described(signatures: dict[str, Any]) -> dict[str, Any]:
    """Signatures of a loaded SavedModel as JSON: {name: {"inputs"|"outputs": {name: {"dtype", "shape"}}}}."""

    def tensors(infos: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {"dtype": info.dtype.name, "shape": [None if size < 0 else size for size in info.shape or ()]}
            for name, info in infos.items()
        }

    return {name: {"inputs": tensors(s.inputs), "outputs": tensors(s.outputs)} for name, s in signatures.items()}
