"""How often a value is in the training split, in Transform's graph."""

from __future__ import annotations

from typing import Any


def log_counts(values: Any, name: str) -> Any:
    """Returns the logarithm of how often each value is in the training split, (batch,) of float32; 0 for none.

    Args:
        values: Integers (batch,).
        name: Of the file of the counts (`vocab_filename`).
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    def look_up(values: Any, path: Any) -> Any:
        lines = tf.lookup.TextFileInitializer(path, tf.int64, 1, tf.int64, 0, delimiter=" ")  # "count value"
        table = tf.lookup.StaticHashTable(lines, default_value=1)
        return table.lookup(values), table.size()

    path = tft.vocabulary(values, store_frequency=True, vocab_filename=name)
    return tf.math.log(tf.cast(tft.apply_vocabulary(values, path, lookup_fn=look_up), tf.float32))
