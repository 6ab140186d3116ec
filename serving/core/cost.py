"""What a run may cost, told from its inputs alone: memory for images, and whether it is bound to be short.

What the last run took says nothing about inputs of another content: strings may be anything from a word to a picture.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from serving.core.work import FULL_TEXT
from serving.errors import InvalidArgument, ResourceExhausted
from serving.wire.image_header import count_pixels
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.core.work import Graph, MemoryBudget, RunArgs, Values
    from serving.wire.strings import Tensor

PIXEL_BYTES = 16  # a decoder's own memory, the pixels, and two copies of them while they are resized
_QUICK_PIXELS = 1 << 16  # of all images of a run; decoded in less than half a millisecond
_QUICK_BYTES = 1 << 15  # of all strings of a run
_SMALL_VALUES = 1 << 14  # bytes of a result
_MEDIUM_VALUES = 1 << 20


def image_bytes(model: Graph, args: RunArgs) -> int:
    """Bytes that the images among the inputs unpack to, by their headers; 0 where the graph decodes none."""
    return PIXEL_BYTES * sum(map(count_pixels, _strings(args))) if model.decoders else 0


def hold_images(model: Graph, args: RunArgs, budget: MemoryBudget) -> int:
    """Holds the bytes that the images among the inputs unpack to, and returns how many.

    Raises:
        InvalidArgument: They would never fit.
        ResourceExhausted: They do not fit now.
    """
    size = image_bytes(model, args)
    if not size or budget.take(size):
        return size
    text = f"The images of the request unpack to {size} bytes"
    if size > budget.limit:
        raise InvalidArgument(f"{text}, at most {budget.limit} are taken")
    raise ResourceExhausted(f"{text}. {FULL_TEXT}")


def is_bounded(model: Graph, args: RunArgs) -> bool:
    """Whether the time of a run follows from the shapes of its inputs, or from little content."""
    if args.packed or (model.has_loops and not model.decoders):
        return False
    strings = list(_strings(args))
    if not strings:
        return True
    if sum(map(len, strings)) > _QUICK_BYTES or model.unchecked_decoders:
        return False
    return not model.decoders or sum(map(count_pixels, strings)) <= _QUICK_PIXELS


def is_small(values: Values) -> bool:
    """Whether a result is worded on the event loop; the lengths of a million strings are not even looked at there."""
    sizes = sum(array.nbytes for array in values)
    return sizes <= _SMALL_VALUES and sum(map(value_bytes, values)) <= _SMALL_VALUES


def is_medium(values: Values) -> bool:
    """Whether a result is written in some milliseconds."""
    counted = all(isinstance(array, Strings) or array.dtype != object for array in values)  # no string is looked at
    return counted and sum(array.nbytes for array in values) <= _MEDIUM_VALUES


def value_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor, those of its strings included."""
    if isinstance(tensor, Strings) or tensor.dtype != object:
        return tensor.nbytes
    return tensor.nbytes + sum(map(len, tensor.flat))


def _strings(args: RunArgs) -> Iterator[bytes]:
    for tensor in args.arrays:
        if isinstance(tensor, Strings):
            yield from itertools.chain.from_iterable(tensor.pieces())
        elif tensor.dtype == object:
            yield from tensor.flat
