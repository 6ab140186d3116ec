"""Layers for augmentation that Keras lacks: word dropout in texts, time shift of recordings, turns with the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Sequence


@keras.saving.register_keras_serializable("keraspipe")
class WordDropout(keras.layers.Layer):
    """Replaces words at random by the unknown word, so that no single word decides; in training only.

    Source: A. M. Dai, Q. V. Le, Semi-supervised sequence learning, arXiv:1511.01432, section 4.1 ("word dropout").

    Args:
        rate: Share of replaced words, from 0 to 1.
        unknown: Id of words outside the vocabulary.
        padding: Id of the padding after the end of a text, which is never replaced.
        seed: Seed of the random numbers.

    Shapes: integer ids (batch, length), before and after.
    """

    def __init__(self, rate: float, unknown: int = 1, padding: int = 0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be from 0 to 1. Received: rate={rate}")
        self.rate, self.unknown, self.padding, self.seed = rate, unknown, padding, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids: Any, *, training: bool = False) -> Any:
        """Replaces each word independently; returns ids (batch, length)."""
        if not training:
            return ids
        drawn = keras.random.uniform(ops.shape(ids), seed=self.seed_generator) < self.rate
        return ops.where(ops.logical_and(drawn, ids != self.padding), ops.cast(self.unknown, ids.dtype), ids)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        own = {"rate": self.rate, "unknown": self.unknown, "padding": self.padding, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("keraspipe")
class TimeShift(keras.layers.Layer):
    """Shifts each recording in time by a random amount and fills with silence; in training only.

    Args:
        factor: Bounds of the shift as shares of the length, (earliest, latest); negative is earlier. One number shifts
            by up to that share in both directions.
        seed: Seed of the random numbers.

    Shapes: (batch, samples) or (batch, samples, channels), before and after.
    """

    def __init__(self, factor: float | tuple[float, float], seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = (-factor, factor) if isinstance(factor, int | float) else tuple(factor)
        if not -1 <= self.factor[0] <= self.factor[1] <= 1:
            raise ValueError(f"factor must be ordered and within -1 and 1. Received: factor={factor}")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, recordings: Any, *, training: bool = False) -> Any:
        """Shifts by whole samples; returns the shape of `recordings`."""
        if not training:
            return recordings
        batch, samples = ops.shape(recordings)[:2]
        low, high = self.factor
        share = keras.random.uniform((batch, 1), low, high, seed=self.seed_generator)
        shift = ops.cast(ops.round(share * ops.cast(samples, "float32")), "int32")
        source = ops.arange(samples, dtype="int32")[None] - shift  # (batch, samples): where each sample comes from
        inside = ops.logical_and(source >= 0, source < samples)
        wide = [..., *[None] * (len(recordings.shape) - 2)]
        moved = ops.take_along_axis(recordings, ops.clip(source, 0, samples - 1)[tuple(wide)], axis=1)
        return ops.where(inside[tuple(wide)], moved, ops.zeros_like(moved))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}


@keras.saving.register_keras_serializable("keraspipe")
class Turn(keras.layers.Layer):
    """Mirrors and transposes pictures at random, together with what lies on them, such as masks; in training only.

    Each row is turned in one of the eight ways that map a square to itself; one that is no square is mirrored only.

    Args:
        names: Features that are turned; the targets (batch, height, width, …) are turned, too.
        seed: Seed of the random numbers.

    Shapes: a pair (features by name, target or targets by name), before and after.
    """

    def __init__(self, names: Sequence[str] = ("image",), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names, self.seed = tuple(names), seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, pair: Any, *, training: bool = False) -> Any:
        """Turns features and target of a row in the same way."""
        if not training:
            return pair
        features, target = pair
        draws = keras.random.uniform((ops.shape(features[self.names[0]])[0], 3), seed=self.seed_generator) < 1 / 2
        turned = {name: _turn(features[name], draws) for name in self.names}
        return {**features, **turned}, keras.tree.map_structure(lambda value: _turn(value, draws), target)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        return {**super().get_config(), "names": self.names, "seed": self.seed}


def _turn(values: Any, draws: Any) -> Any:
    """Returns values (batch, height, width, …), each row flipped and transposed as its draws (batch, 3) say."""
    axes = [0, 2, 1, *range(3, len(values.shape))]
    wide = (slice(None), *[None] * (len(values.shape) - 1))
    for place, axis in enumerate((1, 2)):
        values = ops.where(draws[:, place][wide], ops.flip(values, axis), values)
    square = values.shape[1] == values.shape[2]
    return ops.where(draws[:, 2][wide], ops.transpose(values, axes), values) if square else values
