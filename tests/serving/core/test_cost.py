"""What a run may cost is told by its content, not by what the last run took."""

from __future__ import annotations

import io
import types

import numpy as np
import pytest
from PIL import Image

from serving.core.cost import PIXEL_BYTES, image_bytes, is_bounded, is_medium, value_bytes
from serving.core.handler import PreparedRequest, RequestHandler
from serving.core.work import MemoryBudget, RunArgs
from serving.errors import InvalidArgument, ResourceExhausted
from serving.wire.strings import Strings

HUGE_WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0\x2f\xfe\xbf\xff\x0f\x07" + bytes(12)


def model(decoders=(), unchecked=(), loops=False):
    return types.SimpleNamespace(decoders=set(decoders), unchecked_decoders=set(unchecked), has_loops=loops)


def args(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return RunArgs(("x:0",), ("y:0",), [array])


def png(side):
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


NUMBERS = RunArgs(("x:0",), ("y:0",), [np.zeros((4, 3), np.float32)])
IMAGES = model({"DecodeImage"}, loops=True)


@pytest.mark.parametrize(
    ("graph", "run", "bounded"),
    [
        (model(), NUMBERS, True),
        (model(loops=True), NUMBERS, False),
        (model(), args(b"a text"), True),
        (model(), args(b"a" * 20_000, b"b" * 20_000), False),
        (IMAGES, args(*[png(8)] * 64), True),
        (IMAGES, args(png(8), png(600)), False),
        (IMAGES, args(HUGE_WEBP), False),
        (model({"DecodeImage"}, {"DecodeImage"}), args(b"\xff\x0a"), False),
    ],
)
def test_what_may_run_on_the_event_loop_is_bounded(graph, run, bounded):
    assert bounded == is_bounded(graph, run)


def test_images_cost_what_their_headers_say():
    assert PIXEL_BYTES * (64 + 16383**2) == image_bytes(IMAGES, args(png(8), HUGE_WEBP))
    assert 0 == image_bytes(model(), args(HUGE_WEBP))


def test_packed_strings_cost_what_they_do_as_an_array():
    images = args(png(8), b"", png(300))
    packed = RunArgs(images.feeds, images.fetches, [Strings.join(images.arrays[0])])
    assert image_bytes(IMAGES, images) == image_bytes(IMAGES, packed) == PIXEL_BYTES * (8 * 8 + 300 * 300)
    assert not is_bounded(model(), packed)  # many strings, or large ones
    assert value_bytes(packed.arrays[0]) >= sum(map(len, images.arrays[0]))


def test_texts_count_with_their_bytes():
    assert 8 + 1000 == value_bytes(args(b"x" * 1000).arrays[0])
    assert 48 == value_bytes(NUMBERS.arrays[0])


def test_what_is_written_in_milliseconds_is_known_without_a_look_at_its_strings():
    packed = Strings.join(np.full(5000, b"x" * 10, object))
    assert [True, True, False, False] == [
        is_medium(values)
        for values in ([NUMBERS.arrays[0]], [packed], [packed] * 20, [np.full(5000, b"x" * 10, object)])
    ]


def test_an_image_of_89_megapixels_needs_memory_that_the_server_may_have():
    """1.4 GB for its pixels: more than a budget of 1 GiB, less than one of 2 GiB."""
    side = (9459).to_bytes(4, "big")
    large = args(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + side * 2)
    released = []
    lease = types.SimpleNamespace(model=IMAGES, refuse=released.append)

    def prepare(budget):
        handler = types.SimpleNamespace(budget=budget)
        return RequestHandler._prepare(handler, lambda: PreparedRequest(lease, "", large, bytes))

    budget = MemoryBudget(2**31)
    assert PIXEL_BYTES * 9459**2 == prepare(budget).held == budget._held
    with pytest.raises(ResourceExhausted, match=r"unpack to 1431562896 bytes.*Try again later"):
        prepare(budget)
    with pytest.raises(InvalidArgument, match="unpack to 1431562896 bytes, at most 1073741824 are taken"):
        prepare(MemoryBudget(2**30))
    assert 2 == len(released)
