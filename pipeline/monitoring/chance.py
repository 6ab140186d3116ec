"""How far two samples of one distribution lie apart by chance alone.

What is asked for is the distance that is exceeded with a small probability `alpha` although nothing has changed. The
distribution is estimated from both samples together, as in a permutation test.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from pipeline.monitoring import distance

if TYPE_CHECKING:
    from numpy.random import Generator

DRAWS = 1000


def l_infinity(shares: np.ndarray, counts: tuple[int, int], alpha: float) -> float:
    """A bound on the L-infinity distance by Bernstein's inequality, over all cells at once.

    S. Boucheron, G. Lugosi, P. Massart, Concentration inequalities, 2013, theorem 2.10. Cells need not exclude each
    other: the bound holds for the shares of texts that contain a word, too.

    Args:
        shares: Of both samples together (cells,).
        counts: Sizes of the two samples.
        alpha: Probability of more.
    """
    variance = (shares * (1 - shares)).max(initial=0.0) * sum(1 / count for count in counts)
    level = math.log(2 * max(len(shares), 1) / alpha)
    jump = level / (3 * min(counts))
    return float(min(jump + math.sqrt(jump**2 + 2 * variance * level), 1.0))


def jensen_shannon(shares: np.ndarray, counts: tuple[int, int], alpha: float, random: Generator) -> float:
    """A bound on the Jensen-Shannon divergence, by drawing both samples anew.

    The divergence is nearly a multiple of a chi-square, whose cube root is nearly normal (E. B. Wilson, M. M. Hilferty,
    The distribution of chi-square, PNAS 17, 1931), so that few draws tell how far its tail reaches.

    Args:
        shares: Of both samples together (cells,), with the sum 1.
        counts: Sizes of the two samples.
        alpha: Probability of more.
        random: Draws the samples.
    """
    one, other = (random.multinomial(count, shares, DRAWS) / count for count in counts)
    roots = np.cbrt(distance.jensen_shannon(one, other))
    tail = roots.mean() + NormalDist().inv_cdf(1 - alpha) * roots.std()
    return float(min(max(tail, roots.max()) ** 3, 1.0))  # of rare values the largest one drawn may lie beyond
