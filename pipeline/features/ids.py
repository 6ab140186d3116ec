"""Identifiers of things in a table (films, papers): their places, and their names as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

BLANKS = b" \t\n\r\f\v"
WHOLE = re.compile(rb"^(-?[0-9]+)\.0$")
CHARACTERS = [b"", *(bytes([code]) for code in range(1, 256))]  # numpy ends a text with zeros


def find_places(ids: Any, wanted: tf.Tensor) -> tf.Tensor:
    """Returns the places of identifiers in a table.

    Args:
        ids: The table's identifiers in ascending order, (n,) of int64.
        wanted: Identifiers, (…) of int64.

    Returns:
        (…) of int32; n for what is not in the table.
    """
    import tensorflow as tf

    ids, flat = tf.convert_to_tensor(ids), tf.reshape(wanted, [-1])
    count = ids.shape[0]
    place = tf.searchsorted(ids, flat)
    known = tf.equal(tf.gather(ids, tf.minimum(place, count - 1)), flat)
    return tf.reshape(tf.where(known, place, count), tf.shape(wanted))


def normalize_ids(ids: tf.Tensor) -> tf.Tensor:
    """Returns ids (…) as `normalize_id` does, in the graph."""
    import tensorflow as tf

    return tf.strings.regex_replace(tf.strings.strip(ids), WHOLE.pattern.decode(), r"\1")


def normalize_id(content: bytes) -> bytes:
    """Returns an id without blanks around it, and 3 for 3.0: pandas writes whole numbers so where some are missing."""
    return WHOLE.sub(rb"\1", content.strip(BLANKS))


def to_codes(texts: np.ndarray, length: int) -> np.ndarray:
    """Returns texts (n,) of dtype "S…" as bytes, (n, length) of uint8: a network's weight cannot be text."""
    import numpy as np

    return np.ascontiguousarray(texts.astype(f"S{length}")).view(np.uint8).reshape(len(texts), length)


def to_texts(codes: tf.Tensor) -> tf.Tensor:
    """Returns the texts (…) of codes (…, length) that `to_codes` made."""
    import tensorflow as tf

    return tf.strings.reduce_join(tf.gather(tf.constant(CHARACTERS), tf.cast(codes, tf.int32)), axis=-1)
