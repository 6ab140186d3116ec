"""Several requests in one run: join their rows, part the results."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from serving.core.work import Fetch
from serving.errors import FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.core.work import Values

_CLOSE = 1e-5  # across batch shapes a graph's numbers differ in the last digits


def joined(fetches: Sequence[Fetch]) -> Fetch:
    """One fetch with the rows of all, which have equal feeds and inner shapes."""
    first = fetches[0]
    columns = zip(*(fetch.arrays for fetch in fetches), strict=True)
    return Fetch(first.feeds, first.fetches, [np.concatenate(column) for column in columns])


def parted(values: Values, sizes: Sequence[int]) -> list[Values]:
    """The rows of each request.

    Args:
        values: Results of the joined run; rows beyond the sum of `sizes` are padding and dropped.
        sizes: Rows of each request.

    Raises:
        FailedPrecondition: A result has no batch dimension, or another size.
    """
    bounds = np.cumsum([0, *sizes]).tolist()
    return [[value[start:stop] for value in values] for start, stop in itertools.pairwise(bounds)]


def check(values: Values, rows: int) -> None:
    """Refuse results that cannot be parted.

    Raises:
        FailedPrecondition: A result has no batch dimension, or not that of the inputs.
    """
    for value in values:
        if not value.ndim:
            raise FailedPrecondition("Batched output tensor has 0 dimensions")
        if len(value) != rows:
            raise FailedPrecondition(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                "input tensors"
            )


def alike(one: Values, other: Values) -> bool:
    """Whether two runs gave the same, but for the last digits of floating-point numbers."""
    return all(_alike(*pair) for pair in zip(one, other, strict=True))


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "fc":
        return np.allclose(one, other, rtol=_CLOSE, atol=_CLOSE, equal_nan=True)
    return bool(np.array_equal(one, other))
