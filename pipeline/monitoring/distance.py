"""Distances between two distributions over the same cells, as TFDV's drift and skew comparators define them.

Both lie in [0, 1], are symmetric, and are 0 for equal distributions only.
"""

from __future__ import annotations

import numpy as np


def l_infinity(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The largest change of a cell's share (TFDV: `infinity_norm`).

    Args:
        p: Shares (…, cells).
        q: Shares (…, cells).

    Returns:
        Distances (…).
    """
    return np.asarray(np.abs(p - q).max(axis=-1, initial=0.0))


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence in bits (TFDV: `jensen_shannon_divergence`).

    J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37(1), 1991.

    Args:
        p: Shares (…, cells), which sum to 1.
        q: Shares (…, cells), which sum to 1.

    Returns:
        Divergences (…).
    """
    middle = (p + q) / 2
    return np.clip((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2, 0.0, 1.0)


def _relative_entropy(p: np.ndarray, middle: np.ndarray) -> np.ndarray:
    there = p > 0
    ratio = np.divide(p, middle, out=np.ones_like(middle), where=there)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))
