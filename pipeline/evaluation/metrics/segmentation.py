"""Metrics of masks: how far the predicted pixels and the true ones overlap, per picture.

Sources: L. R. Dice, Measures of the amount of ecologic association between species, Ecology 26(3), 1945; P. Jaccard,
The distribution of the flora in the alpine zone, New Phytologist 11(2), 1912 (intersection over union).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.evaluation.bootstrap import Statistic, mean_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def dice(truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> Statistic:
    """Returns the mean Dice coefficient of masks (height, width) of bool; two empty masks agree."""
    return mean_of(np.array([_ratio(2 * both, own + other) for both, own, other in _counts(truth, predicted)]))


def intersection_over_union(truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> Statistic:
    """Returns the mean intersection over union of masks (height, width) of bool; two empty masks agree."""
    return mean_of(np.array([_ratio(both, own + other - both) for both, own, other in _counts(truth, predicted)]))


def _counts(truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> list[tuple[int, int, int]]:
    """Returns the pixels of both masks of a row, of its truth, and of its prediction."""
    return [
        (int((own & other).sum()), int(own.sum()), int(other.sum()))
        for own, other in zip(truth, predicted, strict=True)
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
