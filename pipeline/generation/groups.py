"""Rows in groups of a fixed size, so that a row gets the same answer alone and in any batch, to the last bit.

How a matrix product adds depends on its shape, and a last digit may turn the choice of a word over. In groups of one
size all kernels have the same shapes, and sixteen rows take little longer than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable


def map_groups(function: Callable[[tf.Tensor], Any], rows: tf.Tensor, size: int, specs: Any) -> Any:
    """Applies a function to groups of rows; the last one is filled up with copies of the last row.

    Args:
        function: (size, …) -> any nest of tensors (size, …).
        rows: (batch, …).
        size: Number of rows in a group.
        specs: What the function returns, as a nest of `tf.TensorSpec`.

    Returns:
        The nest of tensors (batch, …).
    """
    count = tf.shape(rows)[0]
    filled = tf.gather(rows, tf.minimum(tf.range(-(-count // size) * size), count - 1))
    groups = tf.reshape(filled, [-1, size, *rows.shape[1:]])
    answer = tf.map_fn(function, groups, fn_output_signature=specs)
    return tf.nest.map_structure(lambda part: tf.reshape(part, [-1, *part.shape[2:]])[:count], answer)
