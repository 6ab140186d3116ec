"""A layer for numbers side by side: each gets a vector of its own before the layers of the network mix them."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keraspipe")
class Periodic(keras.layers.Layer):
    """Turns each number into a vector: sines and cosines of learnt frequencies, and the number itself, then a layer.

    A network of plain layers learns smooth functions of a number and misses its steps and peaks, which trees find.

    Source: Y. Gorishniy, I. Rubachev, A. Babenko, On embeddings for numerical features in tabular deep learning,
    NeurIPS 2022, arXiv:2203.05556, section 3.3 ("PLR").

    Args:
        frequencies: Frequencies of each number.
        size: Length of its vector.
        spread: Deviation of the frequencies before training, in periods per unit of the number.

    Shapes: standardized numbers (batch, n) to (batch, n * size).
    """

    def __init__(self, frequencies: int = 8, size: int = 8, spread: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(frequencies, size) < 1 or spread <= 0:
            raise ValueError(
                "frequencies and size must be at least 1, spread above 0. "
                f"Received: frequencies={frequencies}, size={size}, spread={spread}"
            )
        self.frequencies, self.size, self.spread = frequencies, size, spread

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the weights of each number."""
        count = shape[-1]
        start = keras.initializers.RandomNormal(stddev=self.spread)
        self.waves = self.add_weight(shape=(count, self.frequencies), initializer=start, name="waves")
        width = 2 * self.frequencies + 1
        edge = math.sqrt(6 / (width + self.size))  # Glorot's, of one number's layer
        uniform = keras.initializers.RandomUniform(-edge, edge)
        self.kernel = self.add_weight(shape=(count, width, self.size), initializer=uniform, name="kernel")
        self.bias = self.add_weight(shape=(count, self.size), initializer="zeros", name="bias")

    def call(self, numbers: Any) -> Any:
        """Returns the vectors of all numbers, side by side."""
        turns = 2 * math.pi * numbers[..., None] * self.waves
        parts = ops.concatenate([ops.sin(turns), ops.cos(turns), numbers[..., None]], axis=-1)
        vectors = ops.relu(ops.einsum("bnk,nkd->bnd", parts, self.kernel) + self.bias)
        return ops.reshape(vectors, (-1, numbers.shape[-1] * self.size))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        own = {"frequencies": self.frequencies, "size": self.size, "spread": self.spread}
        return {**super().get_config(), **own}
