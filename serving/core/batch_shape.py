"""What TensorFlow Serving's batching asks of a request, and how it fills a batch up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serving.core.work import Fetch
from serving.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.options import Batching

_MAX_PADDED_RANK = 6


def check(batching: Batching) -> None:
    """Refuse parameters that contradict each other.

    Raises:
        InvalidArgument: With TensorFlow Serving's text.
    """
    sizes = batching.allowed_batch_sizes
    if not sizes:
        return
    if list(sizes) != sorted(set(sizes)):
        raise InvalidArgument("allowed_batch_sizes entries must be monotonically increasing")
    largest = batching.max_execution_batch_size if batching.split_large_batches else batching.max_batch_size
    if sizes[-1] != (largest or batching.max_batch_size):
        raise InvalidArgument(
            "Last entry in allowed_batch_sizes must match max_batch_size or max_execution_batch_size; last entry "
            f"was {sizes[-1]}. expected {largest or batching.max_batch_size}"
        )


def rows(fetch: Fetch) -> int:
    """The size of a request.

    Raises:
        InvalidArgument: No inputs, a scalar among them, or unequal sizes.
    """
    if not fetch.arrays:
        raise InvalidArgument("Batching Run() must have at least one input tensor")
    if not all(array.ndim for array in fetch.arrays):
        raise InvalidArgument("Batching Run() input tensors must have at least one dimension")
    if fetch.rows is None:
        raise InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size")
    return fetch.rows


def joined(fetches: Sequence[Fetch], batching: Batching) -> Fetch:
    """One fetch with the rows of all, padded to an allowed size.

    Raises:
        FailedPrecondition: Unequal inner shapes, and padding is turned off.
        InvalidArgument: Unequal ranks, or a rank that cannot be padded.
    """
    first = fetches[0]
    columns = zip(first.feeds, *(fetch.arrays for fetch in fetches), strict=True)
    arrays = [np.concatenate(_level(name, list(column), batching)) for name, *column in columns]
    size = len(arrays[0])
    missing = next((allowed for allowed in batching.allowed_batch_sizes if allowed >= size), size) - size
    filled = [np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) if missing else array for array in arrays]
    return Fetch(first.feeds, first.fetches, filled)


def _level(name: str, arrays: list[np.ndarray], batching: Batching) -> list[np.ndarray]:
    """The arrays with one inner shape."""
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) == 1:
        return arrays
    if not batching.pad_variable_length_inputs:
        raise FailedPrecondition(
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
            "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim."
        )
    if len({len(shape) for shape in shapes}) > 1 or len(next(iter(shapes))) + 1 > _MAX_PADDED_RANK:
        raise InvalidArgument(
            f"Tensors with name '{name}' cannot be padded: expected equal ranks from 1 to {_MAX_PADDED_RANK}"
        )
    target = tuple(map(max, zip(*shapes, strict=True)))
    return [_padded(array, target) for array in arrays]


def _padded(array: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """The array grown to inner shape `target` with its first element, as upstream."""
    widths = [(0, 0), *((0, wanted - size) for wanted, size in zip(target, array.shape[1:], strict=True))]
    filling = array.reshape(-1)[0] if array.size else (b"" if array.dtype == object else 0)
    return np.pad(array, widths, constant_values=filling)
