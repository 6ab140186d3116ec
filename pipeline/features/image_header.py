"""The check of encoded images in the TensorFlow graph, before a decoder sees them: format and number of pixels.

TensorFlow's decoder tells formats by itself and knows more of them than are documented: some end the process
(github.com/tensorflow/tensorflow/issues/126353), others take minutes. And few bytes can stand for gigabytes of pixels.
So the graph lets only the documented formats through, of a size that their own headers give. It is part of every
export, and so protects tensorflow/serving as well. Same rules in Python: `serving/wire/image_header.py`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.wire.image_header import BLOCKS, FRAMES, HEAD, MARKS, SCANS, WEBP_ANIMATED

if TYPE_CHECKING:
    from collections.abc import Callable

_PART = 10  # bytes of a JPEG's frame header or a GIF's block that are read


def check(contents: Any, most: int) -> Any:
    """Passes encoded images on to a decoder.

    Args:
        contents: String tensor (batch,).
        most: Pixels that an image may have.

    Returns:
        The same. The graph raises an InvalidArgumentError if one of them is no PNG, JPEG, GIF, BMP or WebP, or has more
        pixels.
    """
    import tensorflow as tf

    with tf.name_scope("image_header"):
        pixels = _trace_counter()(contents)
        pixels.set_shape(contents.shape)
        sound = (pixels > 0) & (pixels <= most)
        text = (
            f"Expected PNG, JPEG, GIF, BMP or WebP of at most {most} pixels. Pixels of those that are not (0: unknown):"
        )
        checked = tf.debugging.Assert(tf.reduce_all(sound), [text, tf.boolean_mask(pixels, ~sound)])
        with tf.control_dependencies([checked] if checked is not None else []):
            # Transform may prune the assertion. What is refused does not reach the decoder even then.
            return tf.where(sound, contents, b"refused")


@functools.cache
def _trace_counter() -> Callable[[Any], Any]:
    """Returns `count_pixels` as one function of all graphs: a run makes a dozen, and tracing it costs 0.2 s."""
    import tensorflow as tf

    return tf.function(count_pixels, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)


def count_pixels(contents: Any) -> Any:
    """Returns how many pixels decoders make room for, int64 (batch,); 0 for what is none of the formats.

    All formats whose size is at a place of its own are read at once: for one small image each operation costs a
    microsecond, whatever it does.
    """
    import tensorflow as tf

    head = tf.io.decode_raw(tf.strings.substr(contents, 0, HEAD), tf.uint8, fixed_length=HEAD)
    masks, wanted = _signatures()
    kinds = tf.reduce_all(tf.bitwise.bitwise_and(head[:, None], masks) == wanted, axis=2)
    sides = _read_sides(tf.cast(head, tf.float64))
    pixels = tf.reduce_sum(tf.where(kinds[:, : len(_SIDES)], tf.reduce_prod(sides, axis=2), 0), axis=1)
    jpeg, is_gif = kinds[:, len(_SIDES)], tf.reduce_any(kinds[:, len(_SIDES) + 1 :], axis=1)
    nothing = tf.zeros_like(pixels)
    jpegs = tf.cond(tf.reduce_any(jpeg), lambda: _jpeg_pixels(contents, jpeg), lambda: nothing)
    # Its loops would cost others something, too. A call that is not inlined is one operation, which is not taken.
    walk = tf.function(_gif_pixels, autograph=False, experimental_attributes={"_noinline": True})
    return pixels + jpegs + tf.cond(tf.reduce_any(is_gif), lambda: walk(contents, is_gif), lambda: nothing)


class _Side(NamedTuple):
    """Where a width or height is, and how it is written: `(number // divisor) % modulus + plus`."""

    order: str
    start: int
    size: int
    divisor: int = 1
    modulus: int = 2**32
    plus: int = 0
    sign: bool = False


# PNG, BMP (a negative height turns it upside down), WebP with VP8X, VP8L and VP8.
_SIDES = (
    (_Side("big", 16, 4), _Side("big", 20, 4)),
    (_Side("little", 18, 4, sign=True), _Side("little", 22, 4, sign=True)),
    (_Side("little", 24, 3, plus=1), _Side("little", 27, 3, plus=1)),
    (_Side("little", 21, 4, modulus=2**14, plus=1), _Side("little", 21, 4, divisor=2**14, modulus=2**14, plus=1)),
    (_Side("little", 26, 2, modulus=2**14), _Side("little", 28, 2, modulus=2**14)),
)
# Those with sides first; then JPEG and the two of GIF. A pair is a mask of bits and their value.
_SIGNATURES: tuple[dict[int, bytes | tuple[int, int]], ...] = (
    {0: b"\x89PNG\r\n\x1a\n", 12: b"IHDR"},
    {0: b"BM"},
    {0: b"RIFF", 8: b"WEBPVP8X", 20: (WEBP_ANIMATED, 0)},
    {0: b"RIFF", 8: b"WEBPVP8L", 20: b"\x2f"},
    {0: b"RIFF", 8: b"WEBPVP8 ", 23: b"\x9d\x01\x2a"},
    {0: b"\xff\xd8\xff"},
    {0: b"GIF87a"},
    {0: b"GIF89a"},
)


def _signatures() -> tuple[list[list[int]], list[list[int]]]:
    """Returns which bits of a head count for each signature, and what they are, both (signatures, bytes)."""
    masks, wanted = ([[0] * HEAD for _ in _SIGNATURES] for _ in range(2))
    for row, parts in enumerate(_SIGNATURES):
        for start, part in parts.items():
            bits = [part] if isinstance(part, tuple) else [(255, byte) for byte in part]
            for at, (mask, value) in enumerate(bits, start):
                masks[row][at], wanted[row][at] = mask, value
    return masks, wanted


def _read_sides(head: Any) -> Any:
    """Returns width and height as each format of `_SIDES` would have them, int64 (batch, formats, 2), 2**31 at most."""
    import tensorflow as tf

    flat = [side for pair in _SIDES for side in pair]
    numbers = tf.cast(tf.matmul(head, tf.constant(_weights(flat), tf.float64)), tf.int64)
    divisors, moduli, plus = (
        tf.constant([getattr(side, name) for side in flat], tf.int64) for name in ("divisor", "modulus", "plus")
    )
    values = numbers // divisors % moduli
    # The absolute value of a number of 32 bits in two's complement; without a sign, the number itself.
    most = tf.constant([2**32 if side.sign else 2**40 for side in flat], tf.int64)
    values = tf.minimum(tf.minimum(values, most - values), 2**31) + plus
    return tf.reshape(values, (-1, len(_SIDES), 2))


def _weights(sides: list[_Side]) -> list[list[float]]:
    """Returns what turns heads into numbers, (bytes, numbers)."""
    columns = []
    for side in sides:
        places = range(side.size) if side.order == "little" else reversed(range(side.size))
        column = [0.0] * HEAD
        column[side.start : side.start + side.size] = [256.0**place for place in places]
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


def _jpeg_pixels(contents: Any, is_jpeg: Any) -> Any:
    """Returns the pixels of the largest frame header (ITU-T T.81, B.2.2) of each JPEG; 0 for too many scans."""
    import tensorflow as tf

    padded = tf.strings.join([tf.where(is_jpeg, contents, b""), bytes(_PART)])
    data, count = tf.io.decode_raw(tf.strings.reduce_join(padded), tf.uint8), tf.size(padded)
    after = data[1:]
    marks = tf.where((data[:-1] == 0xFF) & ((after // 16 == 0xC) | (after == 0xDA)))[:, 0]  # noqa: PLR2004
    rows = tf.searchsorted(tf.cumsum(tf.cast(tf.strings.length(padded), tf.int64)), marks, side="right")
    few = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, count) <= MARKS
    most = MARKS * count
    rows, places = rows[:most], marks[:most, None] + tf.range(_PART, dtype=tf.int64)
    parts = tf.cast(tf.gather(data, places), tf.int64)
    frames = tf.constant([mark in FRAMES for mark in range(256)])
    is_frame = tf.gather(frames, parts[:, 1]) & (parts[:, 2] == 0) & (parts[:, 4] <= 16)  # noqa: PLR2004
    is_frame &= parts[:, 3] == (8 + 3 * parts[:, 9]) % 256
    sides = (256 * parts[:, 5] + parts[:, 6]) * (256 * parts[:, 7] + parts[:, 8])
    largest = tf.math.unsorted_segment_max(tf.where(is_frame, sides, 0), rows, count)
    scans = tf.math.unsorted_segment_sum(tf.cast(parts[:, 1] == 0xDA, tf.int32), rows, count)  # noqa: PLR2004
    sound = is_jpeg & few & (scans <= SCANS) & (tf.size(marks) <= most)
    return tf.where(sound, tf.maximum(largest, 0), 0)


def _gif_pixels(contents: Any, is_gif: Any) -> Any:
    """Walks over the blocks of each GIF (GIF89a, section 12): a decoder unpacks all frames."""
    import tensorflow as tf

    size = tf.cast(tf.strings.length(contents), tf.int64)

    def step(at: Any, sums: Any, sides: Any, busy: Any, steps: Any) -> Any:
        part = _read_bytes(contents, _pick(busy, at, 0), _PART)
        is_frame, is_extension = busy & (part[:, 0] == 0x2C), busy & (part[:, 0] == 0x21)  # noqa: PLR2004
        frame = _pick(is_frame[:, None], tf.stack([_little(part, 5, 2), _little(part, 7, 2)], 1), 0)
        sums, sides = sums + frame[:, 0] * frame[:, 1], tf.maximum(sides, frame)
        at += _pick(is_frame, 11 + _palette_size(part[:, 9]), 2 * tf.cast(is_extension, tf.int64))
        at, steps = _pass_blocks(contents, at, (is_frame | is_extension) & (at < size), steps)
        return at, sums, sides, (is_frame | is_extension) & (at < size) & (steps <= BLOCKS), steps

    zeros = tf.zeros_like(size)
    start = zeros + 13 + _palette_size(_read_bytes(contents, zeros, 11)[:, 10])
    _, sums, sides, _, steps = tf.while_loop(
        lambda _at, _sums, _sides, busy, _steps: tf.reduce_any(busy),
        step,
        (start, zeros, tf.stack([zeros, zeros], 1), is_gif & (start < size), zeros),
        parallel_iterations=1,
    )
    return _pick(steps <= BLOCKS, tf.maximum(sums, sides[:, 0] * sides[:, 1]), 0)


def _pass_blocks(contents: Any, at: Any, busy: Any, steps: Any) -> Any:
    """Passes over the blocks of data up to the empty one; each begins with its size."""
    import tensorflow as tf

    size = tf.cast(tf.strings.length(contents), tf.int64)

    def step(at: Any, busy: Any, steps: Any) -> Any:
        length = _read_bytes(contents, _pick(busy, at, 0), 1)[:, 0]
        at += _pick(busy, 1 + length, 0)
        steps += tf.cast(busy, tf.int64)
        return at, busy & (length > 0) & (at < size) & (steps <= BLOCKS), steps

    at, _, steps = tf.while_loop(
        lambda _at, busy, _steps: tf.reduce_any(busy), step, (at, busy, steps), parallel_iterations=1
    )
    return at, steps


def _palette_size(flags: Any) -> Any:
    """Returns the bytes of a colour table, from the flags before it."""
    return _pick(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)  # noqa: PLR2004 - the highest bit


def _read_bytes(contents: Any, at: Any, count: int) -> Any:
    """Returns bytes of each content from a place on, int64 (batch, count); 0 behind its end."""
    import tensorflow as tf

    parts = tf.strings.substr(contents, at, tf.zeros_like(at) + count)
    return tf.cast(tf.io.decode_raw(parts, tf.uint8, fixed_length=count), tf.int64)


def _little(head: Any, at: int, count: int) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(head[:, at : at + count] * [256**place for place in range(count)], axis=1)


def _pick(condition: Any, value: Any, other: Any) -> Any:
    """Returns `tf.where` of numbers, which it would give two types."""
    import tensorflow as tf

    return tf.where(condition, tf.cast(value, tf.int64), tf.cast(other, tf.int64))
