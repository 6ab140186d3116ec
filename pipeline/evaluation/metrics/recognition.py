"""Word error rate of recognised speech: edits per true word.

Source: the Levenshtein distance over words, as in NIST's sclite; V. Levenshtein, Binary codes capable of correcting
deletions, insertions, and reversals, Soviet Physics Doklady 10(8), 1966.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pipeline.evaluation.bootstrap import Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence


def word_error_rate(truth: Sequence[str], recognised: Sequence[str]) -> Statistic:
    """Returns substitutions, deletions and insertions per true word; NaN over rows without any word."""
    pairs = [(own.split(), other.split()) for own, other in zip(truth, recognised, strict=True)]
    edits = np.array([count_edits(own, other) for own, other in pairs])
    words = np.array([len(own) for own, _ in pairs])

    def over(rows: np.ndarray) -> float:
        total = int(words[rows].sum())
        return float(edits[rows].sum() / total) if total else math.nan

    return Statistic(len(pairs), over)


def count_edits(truth: Sequence[str], other: Sequence[str]) -> int:
    """Returns the fewest substitutions, deletions and insertions that turn one sequence into another."""
    row = list(range(len(other) + 1))
    for place, word in enumerate(truth, 1):
        before, row[0] = row[0], place
        for column, received in enumerate(other, 1):
            best = min(row[column] + 1, row[column - 1] + 1, before + (word != received))
            before, row[column] = row[column], best
    return row[-1]
