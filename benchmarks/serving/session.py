"""The callable that every Python server of these benchmarks calls: TensorFlow's session over a SavedModel.

It is the fastest way into a SavedModel from Python, so that servers are compared and not ways to call TensorFlow.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


class Session:
    """One loaded SavedModel with one input.

    Attributes:
        input: Name of the input of `serving_default`.
        dtype: Its array type.
        outputs: Names of the outputs.
    """

    def __init__(self, path: str | Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf
        from tensorflow.core.protobuf import config_pb2

        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(path))
        signature = meta.signature_def["serving_default"]
        [(self.input, info)] = signature.inputs.items()
        self.dtype = tf.dtypes.as_dtype(info.dtype).as_numpy_dtype
        self.outputs = sorted(signature.outputs)
        options = config_pb2.CallableOptions(feed=[info.name], fetch=[signature.outputs[k].name for k in self.outputs])
        self._call = self._session._make_callable_from_options(options)  # noqa: SLF001 - as our own server does

    def __call__(self, array: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays by output name."""
        return dict(zip(self.outputs, map(np.asarray, self._call(array)), strict=True))


def rows(outputs: dict[str, np.ndarray]) -> list[Any]:
    """Answers as JSON has them: values, or objects of named values where there are several outputs."""
    columns = {name: [_plain(value) for value in array.tolist()] for name, array in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
