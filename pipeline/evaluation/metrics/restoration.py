"""Metrics of restored pictures: peak signal-to-noise ratio and structural similarity, by TensorFlow's functions.

Sources: Z. Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP 13(4), 2004;
the customary protocol of super-resolution: the luma of ITU-R BT.601, without a border of `shave` pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.evaluation.bootstrap import Statistic, mean_of

if TYPE_CHECKING:
    from collections.abc import Iterable

WHITE = 255.0
LUMA = np.array([65.481, 128.553, 24.966]) / WHITE  # of R'G'B' from 0 to 255, then 16 is added


def luma(pixels: np.ndarray) -> np.ndarray:
    """Returns the luma (height, width) from 16 to 235 of pixels (height, width, 3); of greys (height, width) as RGB."""
    colours = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels  # noqa: PLR2004  (grey)
    return colours[..., :3].astype(np.float64) @ LUMA + 16.0


def psnr(truth: Iterable[np.ndarray], restored: Iterable[np.ndarray], shave: int = 0) -> Statistic:
    """Returns the mean peak signal-to-noise ratio in dB of lumas (height, width) each, without a border."""
    import tensorflow as tf

    return _mean(lambda own, other: tf.image.psnr(own, other, WHITE), truth, restored, shave)


def ssim(truth: Iterable[np.ndarray], restored: Iterable[np.ndarray], shave: int = 0) -> Statistic:
    """Returns the mean structural similarity of lumas (height, width) each, without a border; 1 for equal ones."""
    import tensorflow as tf

    return _mean(lambda own, other: tf.image.ssim(own, other, WHITE), truth, restored, shave)


def _mean(measure: object, truth: Iterable[np.ndarray], restored: Iterable[np.ndarray], shave: int) -> Statistic:
    assert callable(measure)
    pairs = zip(truth, restored, strict=True)
    return mean_of(np.array([float(measure(_inner(own, shave), _inner(other, shave))) for own, other in pairs]))


def _inner(pixels: np.ndarray, shave: int) -> np.ndarray:
    height, width = pixels.shape
    return pixels[shave : height - shave, shave : width - shave, None].astype(np.float32)
