"""`--batching_parameters_file`, and a version's own `batching_params.pbtxt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving import text_proto
from serving.errors import InvalidArgument
from serving.options import Batching

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> Batching:
    """The parameters of a `BatchingParameters` in text form; upstream's defaults where it is silent.

    Raises:
        InvalidArgument: A size or a number of threads is not positive.
        ServingError: The file is missing or is no `BatchingParameters`.
    """
    message = text_proto.read(path, "BatchingParameters")
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads", "max_execution_batch_size"):
        if message.HasField(name) and getattr(message, name).value < 1:
            raise InvalidArgument(f"{name} must be positive; was {getattr(message, name).value} in '{path}'")
    default = Batching()
    return Batching(
        max_batch_size=_value(message, "max_batch_size", default.max_batch_size),
        timeout_micros=max(0, _value(message, "batch_timeout_micros", default.timeout_micros)),
        max_enqueued_batches=_value(message, "max_enqueued_batches", default.max_enqueued_batches),
        threads=_value(message, "num_batch_threads", default.threads),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        split_large_batches=bool(_value(message, "enable_large_batch_splitting", default.split_large_batches)),
        max_execution_batch_size=_value(message, "max_execution_batch_size", default.max_execution_batch_size),
    )


def _value(message: Any, name: str, default: int) -> int:
    """A wrapped number, which differs from 0 when it is not set."""
    return int(getattr(message, name).value) if message.HasField(name) else default
