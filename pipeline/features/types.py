"""Kinds of raw features: "bytes", "int" or "float", and with a shape "float[140]" or "float[28,28]"."""

from __future__ import annotations

import re
from typing import Any

_KIND = re.compile(r"(bytes|int|float)(?:\[(\d+(?:,\d+)*)\])?")
MISSING_VALUES = {"bytes": b"", "int": 0, "float": float("nan")}  # values of missing features in `preprocess`


def parse_kind(kind: str) -> tuple[str, tuple[int, ...]]:
    """Returns name and shape of a kind; the shape of a single value is ().

    Raises:
        ValueError: It is no kind.
    """
    match = _KIND.fullmatch(kind)
    if not match:
        raise ValueError(f"{kind!r} is no kind such as bytes, int, float or float[140]")
    name, sizes = match.groups()
    return name, tuple(map(int, sizes.split(","))) if sizes else ()


def parsing_spec(kind: str) -> Any:
    """Returns the specification by which `tf.io.parse_example` reads a feature of this kind."""
    import tensorflow as tf

    name, shape = parse_kind(kind)
    # A vector is never absent as a whole.
    return tf.io.FixedLenFeature(shape, tf_dtype(kind), None if shape else MISSING_VALUES[name])


def tf_dtype(kind: str) -> Any:
    """Returns the `tf.DType` of a kind."""
    import tensorflow as tf

    return {"bytes": tf.string, "int": tf.int64, "float": tf.float32}[parse_kind(kind)[0]]
