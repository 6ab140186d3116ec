"""How far generated images are from real ones, in the graph: a loss by which the best epoch of a generator is chosen.

The features are those of a fixed network with random weights, so that nothing has to be learnt or fetched before; the
gate of a recipe goes by a trained one (`pipeline.evaluation.metrics.generation`).
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers


def random_features(shape: tuple[int, ...], filters: tuple[int, ...] = (32, 64, 128)) -> keras.Model:
    """Returns a network from images (batch, height, width, channels) to features (batch, size), always the same."""
    image = keras.Input(shape)
    x = image
    for number, count in enumerate(filters):
        start = keras.initializers.HeNormal(seed=number)
        options = {"padding": "same", "activation": "relu", "kernel_initializer": start, "dtype": "float32"}
        x = layers.Conv2D(count, 5, 2, **options)(x)
    network = keras.Model(image, layers.GlobalAveragePooling2D(dtype="float32")(x), name="features")
    network.trainable = False
    return network


def kernel_distance(real: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
    """Returns the kernel distance of features (rows, size) each, in units of the real ones' spread.

    Source: M. Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 4.
    """
    scale = tf.math.reduce_std(real, axis=0) + 1e-6
    centre = tf.reduce_mean(real, axis=0)
    real, drawn = (real - centre) / scale, (drawn - centre) / scale
    within = [_mean_of_pairs(part) for part in (real, drawn)]
    return within[0] + within[1] - 2.0 * tf.reduce_mean(_kernel(real, drawn))


def _mean_of_pairs(features: tf.Tensor) -> tf.Tensor:
    values, count = _kernel(features, features), tf.cast(tf.shape(features)[0], tf.float32)
    return (tf.reduce_sum(values) - tf.linalg.trace(values)) / (count * (count - 1.0))


def _kernel(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return (tf.matmul(left, right, transpose_b=True) / tf.cast(left.shape[1], tf.float32) + 1.0) ** 3
