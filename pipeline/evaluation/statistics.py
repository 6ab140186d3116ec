"""Confidence intervals of a metric, and paired tests whether a candidate is worse than the champion (the live model).

Intervals are in closed form: reproducible, and fast. Shares: E. Wilson, Probable inference, Journal of the American
Statistical Association 22, 1927, which is also valid near 0 and 1. Other means: Student's t. Areas under a curve:
DeLong's variance, see `row_metrics`. Wilson's interval is written out, because the recorder would need half a second
to import `scipy.stats.binomtest` at the end of a run.

Tests are one-sided: the null hypothesis is that the candidate is not worse. Rows on which both models agree have no
influence, so equal models always have p = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from pipeline.evaluation import row_metrics

LEVEL = 0.95
NORMAL = NormalDist()
Interval = tuple[float, float]
MAX_ROWS = 10_000  # for more rows Student's t gives the same p much faster
PERMUTATIONS = 1999  # in addition to the measured signs: p is at least 1 / 2000
PERMUTATIONS_AT_ONCE = 100  # in memory
MOST_DECIMALS = 300  # beyond this NumPy's rounding overflows
MIN_BLOCKS, MAX_BLOCKS = 2, 40
SEED = 1


def keep_digits(values: Any, digits: int = 8) -> np.ndarray:
    """Rounds numbers to so many digits of the largest, so that a file with them is short, whatever their unit."""
    numbers = np.asarray(values, np.float64)
    largest = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))
    decimals = digits - 1 - math.floor(math.log10(largest)) if largest else 0
    return np.round(numbers, decimals) if decimals < MOST_DECIMALS else numbers


def share_interval(hits: float, rows: int, level: float = LEVEL) -> Interval:
    """Returns Wilson's interval of a share.

    Args:
        hits: Rows for which it is true.
        rows: All rows; without any the interval is (0, 1).
        level: Probability that the interval contains the true share.
    """
    if not rows:
        return 0.0, 1.0
    z = NORMAL.inv_cdf((1 + level) / 2)
    middle = (hits + z * z / 2) / (rows + z * z)
    half = z / (rows + z * z) * math.sqrt(hits * (rows - hits) / rows + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_interval(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Returns the interval of a mean: Wilson's if all values are 0 or 1, else Student's t; NaN for fewer than two.

    If no value is negative, the interval is not negative either.
    """
    from scipy.special import stdtrit

    if np.isin(values, (0, 1)).all():
        return share_interval(float(values.sum()), len(values), level)
    if len(values) < 2:  # noqa: PLR2004  (one value has no spread)
        return math.nan, math.nan
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    low = float(values.mean()) - half
    return max(0.0, low) if values.min() >= 0 else low, float(values.mean()) + half


def area_interval(value: float, variance: float, level: float = LEVEL) -> Interval:
    """Returns the interval of an area under a ROC curve, limited to [0, 1]; NaN if the area is NaN."""
    if math.isnan(value):
        return math.nan, math.nan
    half = NORMAL.inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return max(0.0, value - half), min(1.0, value + half)


@dataclass(frozen=True)
class Comparison:
    """How much worse the candidate is, in the units of the metric; negative where it is better.

    Attributes:
        worse: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        p: Probability of this difference or a larger one by chance, if the candidate is not worse.
        rows: Examples of the test split.
        test: Name of the test.
    """

    worse: float
    low: float
    high: float
    p: float
    rows: int
    test: str


def compare_means(candidate: np.ndarray, live: np.ndarray, *, higher: bool, in_order: bool = False) -> Comparison:
    """Compares two means over the same rows.

    Args:
        candidate: The contribution of each row to the candidate's metric, (rows,).
        live: The same for the champion.
        higher: Whether higher is better.
        in_order: Whether neighbouring rows are correlated, as windows of a time series are: then means of at most 40
            blocks are compared instead of the rows.
    """
    differences = live - candidate if higher else candidate - live
    rows = len(differences)
    units = block_means(differences) if in_order else differences
    p, test = p_value(units)
    low, high = _t_interval(units)
    where = f" over {len(units)} stretches of time" if in_order else ""
    return Comparison(float(differences.mean()), low, high, p, rows, test + where)


def compare_areas(positive: np.ndarray, candidate: np.ndarray, live: np.ndarray) -> Comparison:
    """Compares two areas under the ROC curve on the same rows, by DeLong's test.

    Args:
        positive: Whether each row is positive, (rows,).
        candidate: Scores, (rows,).
        live: The same for the champion.
    """
    from scipy.stats import norm

    values, covariance = row_metrics.roc_areas(positive, np.stack([candidate, live]))
    worse = float(values[1] - values[0])
    deviation = math.sqrt(max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
    p = float(norm.sf(worse / deviation)) if deviation else float(worse <= 0)
    half = float(norm.ppf(0.975)) * deviation
    return Comparison(worse, worse - half, worse + half, p, len(positive), "DeLong's test")


def block_means(values: np.ndarray) -> np.ndarray:
    """Returns the means of at most 40 blocks of neighbouring rows, (blocks,)."""
    count = max(MIN_BLOCKS, min(MAX_BLOCKS, math.isqrt(len(values))))
    return np.array([part.mean() for part in np.array_split(values, count) if len(part)])


def p_value(differences: np.ndarray) -> tuple[float, str]:
    """Returns the one-sided p of "their mean is above 0" for differences (rows,), and the name of the test.

    Under the null hypothesis both signs of each difference are equally likely: signs are flipped at random. If all
    differences have the same size this is McNemar's test, and exact.
    """
    from scipy.stats import binomtest, ttest_1samp

    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0, "no row is answered differently"
    if np.ptp(np.abs(nonzero)) <= 1e-9 * np.abs(nonzero).max():
        exact = binomtest(int((nonzero > 0).sum()), len(nonzero), alternative="greater")
        return float(exact.pvalue), "exact McNemar test"
    if len(nonzero) > MAX_ROWS:
        return float(ttest_1samp(differences, 0.0, alternative="greater").pvalue), "paired t test"
    return _permutation_p(nonzero), "paired permutation test"


def _permutation_p(differences: np.ndarray) -> float:
    """Returns the share of random signs, including the measured ones, with a sum at least as large."""
    random = np.random.default_rng(SEED)
    observed, above = differences.sum(), 1
    for done in range(0, PERMUTATIONS, PERMUTATIONS_AT_ONCE):
        signs = random.integers(0, 2, (min(PERMUTATIONS_AT_ONCE, PERMUTATIONS - done), len(differences)), dtype=np.int8)
        sums = 2 * (signs @ differences) - observed
        above += int((sums >= observed - 1e-12 * np.abs(differences).sum()).sum())
    return above / (PERMUTATIONS + 1)


def _t_interval(differences: np.ndarray) -> tuple[float, float]:
    """Returns Student's t interval."""
    from scipy.stats import t

    if len(differences) < 2:  # noqa: PLR2004  (one value has no spread)
        return math.nan, math.nan
    half = float(t.ppf(0.975, len(differences) - 1)) * float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()) - half, float(differences.mean()) + half
