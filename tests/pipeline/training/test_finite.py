"""Features that are no numbers are named before the training."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from pipeline.errors import PipelineError
from pipeline.training.finite import require_finite


def rows(**features):
    arrays = {name: np.asarray(value, np.float32) for name, value in features.items()}
    count = len(next(iter(arrays.values())))
    return SimpleNamespace(dataset=tf.data.Dataset.from_tensor_slices((arrays, np.zeros(count))))


def network(fill=None):
    inputs = {name: keras.Input((1,), name=name) for name in ("a", "b")}
    values = [fill(value) if fill else value for value in inputs.values()]
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(values)))


FAULTY = rows(a=[[1.0]] * 4, b=[[1.0], [np.nan], [np.inf], [2.0]])


def test_features_that_are_no_numbers_are_named():
    with pytest.raises(PipelineError, match="Received: b: NaN or infinite in 2 of 4 rows"):
        require_finite(network(), FAULTY)


def test_a_network_that_fills_them_is_fine():
    require_finite(network(lambda x: ops.where(ops.isfinite(x), x, 0.0)), FAULTY)


def test_numbers_are_fine():
    require_finite(network(), rows(a=[[1.0]] * 4, b=[[1.0]] * 4))
