"""The rows of a batch: check the parameters, split a large request, join and pad inputs, split outputs.

All functions are pure; limits and texts of errors are those of TensorFlow Serving's batching session.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from serving.core.work import InferenceTask, Outcome, RunArgs
from serving.errors import FailedPrecondition, InvalidArgument, ServingError
from serving.wire.strings import as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.core.work import Values
    from serving.options import Batching


_MAX_PADDED_RANK = 6
_TOLERANCE = 1e-5  # across batch shapes a graph's numbers differ in the last digits


def max_run_rows(batching: Batching) -> int:
    """Rows of one run at most: less than a request's where large ones are split."""
    if batching.split_large_batches and batching.max_execution_batch_size:
        return batching.max_execution_batch_size
    return batching.max_batch_size


def check_parameters(batching: Batching) -> None:
    """Refuse parameters that contradict each other.

    Raises:
        InvalidArgument: With TensorFlow Serving's text.
    """
    largest = max_run_rows(batching)
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


def request_rows(args: RunArgs) -> int:
    """The size of a request.

    Raises:
        InvalidArgument: No inputs, a scalar among them, or unequal sizes.
    """
    if not args.arrays:
        raise InvalidArgument("Batching Run() must have at least one input tensor")
    if not all(array.ndim for array in args.arrays):
        raise InvalidArgument("Batching Run() input tensors must have at least one dimension")
    if args.rows is None:
        raise InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size")
    return args.rows


def join_padded(runs: Sequence[RunArgs], batching: Batching) -> RunArgs:
    """One fetch with the rows of all, padded to an allowed size.

    Raises:
        FailedPrecondition: Unequal inner shapes, and padding is turned off.
        InvalidArgument: Unequal ranks, or a rank that cannot be padded.
    """
    first = runs[0]
    columns = zip(first.feeds, *(args.arrays for args in runs), strict=True)
    arrays = [_concatenate(_pad_to_one_shape(name, list(map(as_array, column)), batching)) for name, *column in columns]
    size = len(arrays[0])
    missing = next((allowed for allowed in batching.allowed_batch_sizes if allowed >= size), size) - size
    filled: Values = [_repeat_first(array, missing) if missing else array for array in arrays]
    return RunArgs(first.feeds, first.fetches, filled)


def _repeat_first(array: np.ndarray, times: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[:1], times, axis=0)])


def _concatenate(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def _pad_to_one_shape(name: str, arrays: list[np.ndarray], batching: Batching) -> list[np.ndarray]:
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
    return [_pad(array, target) for array in arrays]


def _pad(array: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
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


@dataclass(frozen=True, slots=True)
class BatchTask:
    """What one batch has of a request.

    Attributes:
        work: The request.
        fetch: Its rows that belong to this task.
        answer: Called with the task's outcome, once.
        since: When it began to wait, by `time.monotonic`.
    """

    work: InferenceTask
    fetch: RunArgs
    answer: Callable[[Outcome], None]
    since: float = field(default_factory=monotonic)

    @property
    def rows(self) -> int:
        """Size of the task."""
        return self.fetch.rows or 0


def split_request(
    work: InferenceTask, first: float, size: int, end: Callable[[InferenceTask, Outcome], None]
) -> list[BatchTask]:
    """The tasks of a request.

    Args:
        work: The request.
        first: Rows of the first task at most; infinite where requests are not spread over batches.
        size: Rows of each further one at most.
        end: Called with the request's outcome, once, when all its tasks have theirs.
    """
    total = work.fetch.rows or 0
    if total <= first:
        return [BatchTask(work, work.fetch, partial(end, work))]
    bounds = [0, *range(int(first) or size, total, size), total]
    parts: list[Outcome | None] = [None] * (len(bounds) - 1)
    return [
        BatchTask(work, _slice_rows(work.fetch, start, stop), partial(_collect, work, parts, index, end))
        for index, (start, stop) in enumerate(itertools.pairwise(bounds))
    ]


def _slice_rows(args: RunArgs, start: int, stop: int) -> RunArgs:
    return RunArgs(args.feeds, args.fetches, [array[start:stop] for array in args.arrays])


def _collect(
    work: InferenceTask,
    parts: list[Outcome | None],
    index: int,
    end: Callable[[InferenceTask, Outcome], None],
    outcome: Outcome,
) -> None:
    parts[index] = outcome
    if any(part is None for part in parts):
        return
    failed = next((part for part in parts if isinstance(part, ServingError)), None)
    if failed or work.is_answered:
        end(work, failed or [])
        return
    columns = zip(*(part for part in parts if isinstance(part, list)), strict=True)
    end(work, [np.concatenate(list(map(as_array, column))) for column in columns])


def join_rows(runs: Sequence[RunArgs]) -> RunArgs:
    """One fetch with the rows of all, which have equal feeds and inner shapes."""
    first = runs[0]
    columns = zip(*(args.arrays for args in runs), strict=True)
    return RunArgs(first.feeds, first.fetches, [np.concatenate(list(map(as_array, column))) for column in columns])


def split_rows(values: Values, sizes: Sequence[int]) -> list[Values]:
    """The rows of each request.

    Args:
        values: Results of the joined run; rows beyond the sum of `sizes` are padding and dropped.
        sizes: Rows of each request.

    Raises:
        FailedPrecondition: A result has no batch dimension, or another size.
    """
    bounds = np.cumsum([0, *sizes]).tolist()
    return [[value[start:stop] for value in values] for start, stop in itertools.pairwise(bounds)]


def check_outputs(values: Values, rows: int) -> None:
    """Raises an error for outputs that cannot be split by request.

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


def are_close(first: Values, second: Values) -> bool:
    """Whether two runs gave the same, but for the last digits of floating-point numbers."""
    return all(_is_close(as_array(left), as_array(right)) for left, right in zip(first, second, strict=True))


def _is_close(first: np.ndarray, second: np.ndarray) -> bool:
    if first.shape != second.shape:
        return False
    if first.dtype.kind in "fc":
        return np.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    return bool(np.array_equal(first, second))
