"""Keys and values of attention that a decoder has computed in earlier steps, in tensors of fixed shapes."""

from __future__ import annotations

import tensorflow as tf


def empty_cache(rows: tf.Tensor, length: int, heads: int, size: int) -> dict[str, tf.Tensor]:
    """Returns a cache without entries: {"key", "value"}, each (rows, length, heads, size) of float32."""
    shape = [rows, length, heads, size]
    zeros = tf.ensure_shape(tf.zeros(shape), [None, length, heads, size])
    return {"key": zeros, "value": zeros}


def write_cache(
    cache: dict[str, tf.Tensor], position: tf.Tensor, key: tf.Tensor, value: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns the cache with the key and the value of a position, (rows, heads, size) each."""
    here = (tf.range(cache["key"].shape[1]) == position)[None, :, None, None]
    return {
        "key": tf.where(here, key[:, None], cache["key"]),
        "value": tf.where(here, value[:, None], cache["value"]),
    }


def attend(query: tf.Tensor, cache: dict[str, tf.Tensor], position: tf.Tensor) -> tf.Tensor:
    """Attends from a position to itself and all earlier ones.

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.2.1.

    Args:
        query: Queries of the position, (rows, heads, size).
        cache: Keys and values; the entries after the position are not used.
        position: The position.

    Returns:
        (rows, heads, size)
    """
    size = cache["key"].shape[-1]
    logits = tf.einsum("bhd,bthd->bht", query, cache["key"]) / tf.sqrt(tf.cast(size, tf.float32))
    seen = (tf.range(cache["key"].shape[1]) <= position)[None, None]
    weights = tf.nn.softmax(tf.where(seen, logits, -1e9))
    return tf.einsum("bht,bthd->bhd", weights, cache["value"])
