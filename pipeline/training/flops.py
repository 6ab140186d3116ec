"""What one answer of a network costs in floating-point operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras
    import tensorflow as tf


def counted(model: keras.Model, features: Mapping[str, tf.Tensor]) -> int | None:
    """Operations of the network for one row, by TensorFlow's profiler: a multiplication and an addition are two.

    Preprocessing is not counted, the body of a loop once, and what has no fixed shape not at all. None where the
    network cannot be traced alone.

    Args:
        model: The network.
        features: Preprocessed features of any number of rows, (rows, …) each.
    """
    import tensorflow as tf

    inputs = {name: tf.TensorSpec((1, *value.shape[1:]), value.dtype) for name, value in features.items()}
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    try:
        traced = tf.function(lambda features: model(features, training=False), autograph=False)
        graph = traced.get_concrete_function(inputs).graph
        return int(tf.compat.v1.profiler.profile(graph, options={**options, "output": "none"}).total_float_ops)
    except Exception:  # noqa: BLE001  (a number that only informs must not cost the training)
        return None
