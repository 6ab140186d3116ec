"""What a request may cost: memory for images, whether its run is bound to be short, and how often one is refused.

What a run may cost is told from its inputs alone. What the last run took says nothing about inputs of another content:
strings may be anything from a word to a picture.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, TypeVar

from serving.core.work import FULL_TEXT
from serving.errors import Code, InvalidArgument, ResourceExhausted
from serving.wire.image_header import count_pixels
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serving.core.work import Graph, MemoryBudget, RunArgs, Values
    from serving.wire.strings import Tensor

    T = TypeVar("T")

PIXEL_BYTES = 16  # a decoder's own memory, the pixels, and two copies of them while they are resized
_QUICK_PIXELS = 1 << 16  # of all images of a run; decoded in less than half a millisecond
_QUICK_BYTES = 1 << 15  # of all strings of a run
_SMALL_VALUES = 1 << 14  # bytes of a result
_MEDIUM_VALUES = 1 << 20
_PER_SECOND = 200.0
_AT_ONCE = 50  # that leave without a pause between them
_SHORTEST_S = 0.001  # event loops count whole milliseconds
_LONGEST_S = 0.25  # that one waits: what is held for a request is held meanwhile
_CLIENT_FAULTS = {
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.FAILED_PRECONDITION,
    Code.OUT_OF_RANGE,
    Code.UNIMPLEMENTED,
}


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
    if not any(array.dtype.kind == "O" for array in args.arrays):
        return True
    strings = list(_strings(args))
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


class Refusals:
    """Sends answers on an event loop, and those that refuse a request at a bounded rate.

    A refusal costs as much as an answer, and its sender may have the next request ready. The first ones leave at once;
    when there are many, each one waits for its turn, and so does its sender. Answers never wait. The rate is kept as
    by a leaky bucket (ITU-T I.371, annex A: the virtual scheduling algorithm).

    Args:
        per_second: Refusals in the long run.
        at_once: How many may leave together after a pause.
        longest_s: Seconds that one waits at most.
    """

    def __init__(self, per_second: float = _PER_SECOND, at_once: int = _AT_ONCE, longest_s: float = _LONGEST_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._gap, self._tolerance, self._longest = 1 / per_second, at_once / per_second, longest_s
        self._due = 0.0  # when the next one leaves if all of them keep the gap

    def send(self, code: Code, reply: Callable[[T], object], answer: T) -> None:
        """Calls `reply` with the answer to a request that ended with a code: at once, or later if that refuses it."""
        if code is not Code.OK and code in _CLIENT_FAULTS and (wait := self._wait()) >= _SHORTEST_S:
            self._loop.call_later(wait, reply, answer)
        else:
            reply(answer)

    def _wait(self) -> float:
        now = self._loop.time()
        self._due = min(max(self._due, now) + self._gap, now + self._tolerance + self._longest)
        return self._due - now - self._tolerance
