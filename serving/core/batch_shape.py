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


def run_rows(batching: Batching) -> int:
    """Rows of one run at most: less than a request's where large ones are split."""
    if batching.split_large_batches and batching.max_execution_batch_size:
        return batching.max_execution_batch_size
    return batching.max_batch_size


def check(batching: Batching) -> None:
    """Refuse parameters that contradict each other.

    Raises:
        InvalidArgument: With TensorFlow Serving's text.
    """
    largest = run_rows(batching)
    if largest > batching.max_batch_size:
        raise InvalidArgument(
            "When enable_large_batch_splitting is true, max_batch_size must be greater than or equal to "
            f"max_execution_batch_size; they were {batching.max_batch_size} and {largest}"
        )
    sizes = batching.allowed_batch_sizes
    if not sizes:
        return
    if sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
        raise InvalidArgument("allowed_batch_sizes entries must be positive and monotonically increasing")
    if sizes[-1] != largest:
        raise InvalidArgument(
            "Last entry in allowed_batch_sizes must match max_batch_size or max_execution_batch_size; last entry "
            f"was {sizes[-1]}. expected {largest}"
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
    arrays = [_one(_level(name, list(column), batching)) for name, *column in columns]
    size = len(arrays[0])
    missing = next((allowed for allowed in batching.allowed_batch_sizes if allowed >= size), size) - size
    filled = [np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) if missing else array for array in arrays]
    return Fetch(first.feeds, first.fetches, filled)


def _one(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


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
    ranks = {1 + len(shape) for shape in shapes}
    if len(ranks) > 1:
        raise InvalidArgument(f"Tensors with name '{name}' from different tasks have different ranks")
    if max(ranks) > _MAX_PADDED_RANK:
        raise InvalidArgument("Only tensors with rank from 1 to 6 can be padded.")
    target = tuple(map(max, zip(*shapes, strict=True)))
    return [_padded(array, target) for array in arrays]


def _padded(array: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """The array grown to inner shape `target` with its first element, as upstream.

    Raises:
        InvalidArgument: It has no element.
    """
    if array.shape[1:] == target:
        return array
    grown = np.empty((len(array), *target), array.dtype)
    if not grown.size:
        return grown
    if not array.size:
        raise InvalidArgument("Got empty tensor in batch of non-empty tensors.")
    grown[...] = array.reshape(-1)[0]  # numpy.pad would make text of bytes, and cut off zeros at its end
    grown[tuple(map(slice, array.shape))] = array
    return grown
