"""Metrics of generated samples: how far they are from real ones, and how many kinds there are.

Sources: M. Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 4 (kernel Inception distance); M. Lucic et al.,
Are GANs created equal?, NeurIPS 2018, on what to report.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

DEGREE = 3


def kernel_distance(real: np.ndarray, drawn: np.ndarray) -> float:
    """Returns the kernel distance of two sets of features: the squared maximum mean discrepancy, without bias.

    It is 0 on average for two sets of the same kind, and may be negative by chance.

    Args:
        real: Features (rows, size).
        drawn: Features (other rows, size); at least two rows in each.
    """
    within = [_mean_of_pairs(part) for part in (real, drawn)]
    return float(sum(within) - 2 * _kernel(real, drawn).mean())


def _mean_of_pairs(features: np.ndarray) -> float:
    """Returns the mean of the kernel over pairs of different rows."""
    values = _kernel(features, features)
    count = len(features)
    return float((values.sum() - np.trace(values)) / (count * (count - 1)))


def _kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns the polynomial kernel (x · y / size + 1) ** 3, (rows, other rows)."""
    return (left.astype(np.float64) @ right.astype(np.float64).T / left.shape[1] + 1.0) ** DEGREE


def pick_evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns some rows from all over a split: in many files the first ones are of another kind than the last ones.

    Args:
        rows: In the order of the file.
        count: At most so many.
    """
    count = min(count, len(rows))
    return rows[np.arange(count) * len(rows) // max(count, 1)]


def class_entropy(classes: np.ndarray) -> float:
    """Returns the entropy in nats of the classes (rows,) that samples are taken for; ln of their number at best."""
    shares = np.unique(classes, return_counts=True)[1] / len(classes)
    return float(-(shares * np.log(shares)).sum() + 0.0)


def known_words(texts: Sequence[str], source: str) -> float:
    """Returns the share of the words in texts that are words of a source; 1 where there are none."""
    known = set(_words(source))
    written = [word for text in texts for word in _words(text)]
    return sum(word in known for word in written) / len(written) if written else 1.0


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())


def longest_copy(text: str, source: str) -> int:
    """Returns the number of characters of the longest piece of a text that is in a source, too."""
    low, high = 0, min(len(text), len(source))
    while low < high:  # a piece of n characters has pieces of fewer
        size = (low + high + 1) // 2
        pieces = {text[at : at + size] for at in range(len(text) - size + 1)}
        low, high = (size, high) if any(piece in source for piece in pieces) else (low, size - 1)
    return low
