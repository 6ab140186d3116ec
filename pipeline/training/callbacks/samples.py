"""Samples of a generator in every epoch, by fixed seeds: a grid, and numbers that tell whether it has collapsed.

A sample is compared with real rows, as small pictures: how far samples are from each other (`sample_diversity`, 1 for
real rows), to how many classes their nearest training rows belong (`sample_classes`, `sample_entropy` in nats), and how
far they are from the nearest training row (`sample_novelty`, 1 for real rows that are new). The alarms go by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from pipeline.training.augmentation_preview import find_image
from pipeline.training.callbacks import film
from pipeline.training.callbacks.alarms import CLASSES, COPIES, DIVERSITY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.recipe import Recipe
    from pipeline.training.input_pipeline import Rows

COUNT = 100  # samples; a square number
SIDE = 12  # pixels of a picture's sides when pictures are compared
REAL_ROWS = 60_000  # of the training split
_FRAMES = "samples"
_BLOCK = 20_000  # rows that are compared at a time


class SampleWatch(keras.callbacks.Callback):
    """Draws samples after every epoch.

    Args:
        sample: (model, count) -> images (count, height, width, channels) in [0, 1], or texts.
        real: () -> real rows to compare with, or None without any; called after the first epoch.
        frames: Folder of the grids so far; it survives a killed training.
        out: Folder of the animation and the strip.
        classes: Number of classes; 0 without.
    """

    def __init__(
        self,
        sample: Callable[[Any, int], Any],
        real: Callable[[], RealRows | None],
        frames: Path,
        out: Path,
        classes: int,
    ) -> None:
        super().__init__()
        self.classes = classes
        self._sample, self._load, self._frames, self._out = sample, real, frames, out
        self._real: RealRows | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the grid, and adds the numbers to those of the epoch."""
        drawn = self._sample(self.model, COUNT)
        if isinstance(drawn, (list, tuple)):
            film.write_texts(self._frames, epoch + 1, list(map(str, drawn)))
            return
        numbers = np.nan_to_num(np.asarray(keras.ops.convert_to_numpy(drawn), np.float32))  # of weights that are none
        images = np.clip(numbers, 0.0, 1.0)
        film.write_images(self._frames, epoch + 1, np.round(255 * images).astype(np.uint8))
        self._real = self._real or self._load()
        if logs is not None and self._real:
            logs |= self._real.compare(images)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Writes the animation and the film strip, or the texts."""
        film.write_film(self._frames, self._out)


class RealRows:
    """Real rows, as small pictures.

    Args:
        train: Images of the training split, (rows, height, width, channels) in [0, 1].
        labels: Their classes, (rows,); empty without.
        new: Images of the eval split.
    """

    def __init__(self, train: np.ndarray, labels: np.ndarray, new: np.ndarray) -> None:
        self.train, self.labels = shrink(train), labels
        self._spread = _mean_distance(self.train[:COUNT])
        self._apart = float(np.median(self._nearest(shrink(new[:COUNT]))[0]))

    def compare(self, images: np.ndarray) -> dict[str, float]:
        """Returns the numbers of samples (count, height, width, channels)."""
        samples = shrink(images)
        distances, rows = self._nearest(samples)
        numbers = {
            DIVERSITY: _mean_distance(samples) / max(self._spread, 1e-9),
            COPIES: float(np.median(distances)) / max(self._apart, 1e-9),
        }
        if len(self.labels):
            shares = np.unique(self.labels[rows], return_counts=True)[1] / len(rows)
            numbers |= {CLASSES: float(len(shares)), "sample_entropy": float(-(shares * np.log(shares)).sum())}
        return numbers

    def _nearest(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the distance to the nearest training row, and its number, (samples,) each."""
        best, rows = np.full(len(samples), np.inf, np.float32), np.zeros(len(samples), int)
        own = np.square(samples).sum(1)
        for start in range(0, len(self.train), _BLOCK):
            block = self.train[start : start + _BLOCK]
            squares = own[:, None] - 2 * samples @ block.T + np.square(block).sum(1)
            place = squares.argmin(1)
            lowest = squares[np.arange(len(samples)), place]
            rows, best = np.where(lowest < best, start + place, rows), np.minimum(lowest, best)
        return np.sqrt(np.maximum(best, 0)), rows


def shrink(images: np.ndarray) -> np.ndarray:
    """Returns images (rows, height, width, channels) as vectors of at most `SIDE` by `SIDE` means of pixels."""
    rows, height, width, channels = images.shape
    tall, wide = min(SIDE, height), min(SIDE, width)
    cut = images[:, : height // tall * tall, : width // wide * wide]
    blocks = cut.reshape(rows, tall, height // tall, wide, width // wide, channels)
    return blocks.mean((2, 4), dtype=np.float32).reshape(rows, -1)


def _mean_distance(vectors: np.ndarray) -> float:
    """Returns the mean distance of two different vectors of (rows, size)."""
    if len(vectors) < 2:  # noqa: PLR2004
        return 0.0
    squares = np.square(vectors[:, None] - vectors[None]).sum(-1)
    return float(np.sqrt(squares).sum() / (len(vectors) * (len(vectors) - 1)))


def read_real_rows(train: Rows, evaluation: Rows, classes: int) -> RealRows | None:
    """Reads the images of the training and eval split; their values are scaled to [0, 1]. None if there are none."""
    name = find_image(train.dataset.element_spec[0])
    if not name:
        return None
    images, labels = [], []
    for features, label in train.dataset.take(REAL_ROWS).batch(500).as_numpy_iterator():
        images.append(features[name].astype(np.float16))
        labels.append(label if classes else [])
    new = next(features[name] for features, _ in evaluation.dataset.batch(COUNT).as_numpy_iterator())
    known = np.concatenate(images)
    low, high = float(known.min()), float(known.max())
    scaled = [(part.astype(np.float32) - low) / max(high - low, 1e-9) for part in (known, new)]
    return RealRows(scaled[0], np.concatenate(labels).astype(int), scaled[1])


def make_watch(recipe: Recipe, train: Rows, evaluation: Rows, checkpoints: Path, out: Path) -> SampleWatch | None:
    """Returns the watch of a recipe that generates; None for others."""
    if recipe.sample is None:
        return None
    classes = len(recipe.data.classes)
    return SampleWatch(
        recipe.sample, lambda: read_real_rows(train, evaluation, classes), checkpoints / _FRAMES, out, classes
    )
