"""What a run may cost is told by its content, not by what the last run took."""

from __future__ import annotations

import asyncio
import io
import types

import numpy as np
import pytest
from PIL import Image

from serving.core.cost import PIXEL_BYTES, Refusals, image_bytes, is_bounded, is_medium, value_bytes
from serving.core.handler import PreparedRequest, RequestHandler
from serving.core.work import MemoryBudget, RunArgs
from serving.errors import Code, InvalidArgument, ResourceExhausted
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


def send(codes, **options):
    """When which answer was sent, in seconds after the first one, as (number, seconds)."""

    async def run():
        loop, sent, ended = asyncio.get_running_loop(), [], asyncio.Event()
        refusals, began = Refusals(**options), loop.time()

        def reply(number):
            sent.append((number, loop.time() - began))
            if len(sent) == len(codes):
                ended.set()

        for number, code in enumerate(codes):
            refusals.send(code, reply, number)
        await ended.wait()
        return sent

    return asyncio.run(run())


def test_the_first_refusals_leave_at_once_and_many_wait_for_their_turn():
    sent = send([Code.INVALID_ARGUMENT] * 30, per_second=200, at_once=10, longest_s=10)
    assert list(range(30)) == [number for number, _ in sent]
    assert sent[9][1] < 0.05
    assert 0.1 <= sent[29][1]  # 20 more, 5 ms apart


def test_no_refusal_waits_longer_than_is_said():
    sent = send([Code.NOT_FOUND] * 2000, per_second=100, at_once=5, longest_s=0.05)
    assert sent[-1][1] < 1  # 20 seconds at this rate


def test_answers_and_what_is_not_the_sender_s_fault_never_wait():
    codes = [Code.INVALID_ARGUMENT] * 40 + [Code.OK, Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.INTERNAL]
    sent = send(codes, per_second=100, at_once=1, longest_s=0.2)
    assert [0, 40, 41, 42, 43, 1] == [number for number, _ in sent[:6]]


def test_after_a_pause_refusals_leave_at_once_again():
    async def run():
        refusals, sent = Refusals(per_second=1000, at_once=5), []
        for turn in range(2):
            for number in range(5):
                refusals.send(Code.NOT_FOUND, sent.append, number)
            assert 5 * (turn + 1) == len(sent)
            await asyncio.sleep(0.02)

    asyncio.run(run())
