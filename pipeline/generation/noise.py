"""Random numbers that a row's seed determines alone, whatever else is in its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Sequence


def normal_rows(seed: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns standard normal numbers (batch, *shape), each row by its seed (batch,) of int64."""
    spec = tf.TensorSpec(list(shape), tf.float32)
    return tf.map_fn(
        lambda number: tf.random.stateless_normal(list(shape), tf.stack([number, 0])), seed, fn_output_signature=spec
    )
