"""Confidence intervals, in closed form: the same numbers each time, at no cost.

Wilson's is written out, for `scipy.stats.binomtest` has to be imported: that takes the recorder, which has no
TensorFlow that brings it, half a second and more at the end of a run, for the picture of the calibration.

Shares: E. Wilson, Probable inference, Journal of the American Statistical Association 22, 1927, which also holds near
0 and 1. Other means: Student's t. Areas under a curve: DeLong's variance, see `area`.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
NORMAL = NormalDist()

Interval = tuple[float, float]


def share(hits: float, rows: int, level: float = LEVEL) -> Interval:
    """Wilson's interval of a share.

    Args:
        hits: Rows of which it is true.
        rows: All rows; without any the share may be anything.
        level: Probability that the interval holds the true share.
    """
    if not rows:
        return 0.0, 1.0
    z = NORMAL.inv_cdf((1 + level) / 2)
    middle = (hits + z * z / 2) / (rows + z * z)
    half = z / (rows + z * z) * math.sqrt(hits * (rows - hits) / rows + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean(values: np.ndarray, level: float = LEVEL) -> Interval:
    """The interval of a mean: Wilson's where all values are 0 or 1, else Student's t; NaN for less than two values.

    What is never negative has no negative mean either.
    """
    from scipy.special import stdtrit

    if np.isin(values, (0, 1)).all():
        return share(float(values.sum()), len(values), level)
    if len(values) < 2:  # noqa: PLR2004  (one value has no spread)
        return math.nan, math.nan
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    low = float(values.mean()) - half
    return max(0.0, low) if values.min() >= 0 else low, float(values.mean()) + half


def area(value: float, variance: float, level: float = LEVEL) -> Interval:
    """The interval of an area under a ROC curve, kept within 0 and 1; NaN for an area that is none."""
    if math.isnan(value):
        return math.nan, math.nan
    half = NORMAL.inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return max(0.0, value - half), min(1.0, value + half)
