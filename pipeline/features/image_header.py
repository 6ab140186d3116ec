"""The check of encoded images in the TensorFlow graph, before a decoder sees them: format and number of pixels.

TensorFlow's decoder tells formats by itself and knows more of them than are documented: some end the process
(github.com/tensorflow/tensorflow/issues/126353), others take minutes. And few bytes can stand for gigabytes of pixels.
So the graph lets only the documented formats through, of a size that their own headers give. It is part of every
export, and so protects tensorflow/serving as well. Same rules in Python: `serving/wire/image_header.py`.
"""

from __future__ import annotations

from typing import Any

from serving.wire.image_header import BLOCKS, HEAD, SCAN_MARK, SCANS, SEGMENTS, WEBP_ANIMATED

_PART = 10  # bytes of a JPEG's segment or a GIF's block that are read


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
        pixels = count_pixels(contents)
        sound = (pixels > 0) & (pixels <= most)
        text = (
            f"Expected PNG, JPEG, GIF, BMP or WebP of at most {most} pixels. Pixels of those that are not (0: unknown):"
        )
        checked = tf.debugging.Assert(tf.reduce_all(sound), [text, tf.boolean_mask(pixels, ~sound)])
        with tf.control_dependencies([checked] if checked is not None else []):
            # Transform may prune the assertion. What is refused does not reach the decoder even then.
            return tf.where(sound, contents, b"refused")


def count_pixels(contents: Any) -> Any:
    """Returns how many pixels decoders make room for, int64 (batch,); 0 for what is none of the formats."""
    import tensorflow as tf

    head = _read(contents, tf.zeros_like(contents, tf.int64), HEAD)
    is_png = _has(head, 0, b"\x89PNG\r\n\x1a\n") & _has(head, 12, b"IHDR")
    is_jpeg = _has(head, 0, b"\xff\xd8\xff")
    is_gif = _has(head, 0, b"GIF87a") | _has(head, 0, b"GIF89a")
    is_bmp = _has(head, 0, b"BM")
    is_webp = _has(head, 0, b"RIFF") & _has(head, 8, b"WEBP")
    cases = [
        (is_png, tf.minimum(_big(head, 16, 4), 2**31) * tf.minimum(_big(head, 20, 4), 2**31)),
        (is_jpeg, _jpeg_pixels(contents, is_jpeg)),
        (is_gif, _gif_pixels(contents, is_gif)),
        (is_bmp, tf.abs(_signed(head, 18)) * tf.abs(_signed(head, 22))),
        (is_webp, _webp_pixels(head)),
    ]
    return tf.add_n([_pick(is_kind, pixels, 0) for is_kind, pixels in cases])


def _webp_pixels(head: Any) -> Any:
    import tensorflow as tf

    bits, side = _little(head, 21, 4), 2**14
    cases = [
        (
            _has(head, 12, b"VP8X") & (head[:, 20] // WEBP_ANIMATED % 2 == 0),
            (1 + _little(head, 24, 3)) * (1 + _little(head, 27, 3)),
        ),
        (_has(head, 12, b"VP8L") & _has(head, 20, b"\x2f"), (1 + bits % side) * (1 + bits // side % side)),
        (
            _has(head, 12, b"VP8 ") & _has(head, 23, b"\x9d\x01\x2a"),
            (_little(head, 26, 2) % side) * (_little(head, 28, 2) % side),
        ),
    ]
    return tf.add_n([_pick(is_kind, pixels, 0) for is_kind, pixels in cases])


def _jpeg_pixels(contents: Any, is_jpeg: Any) -> Any:
    """Walks over the segments of each JPEG to its frame header (ITU-T T.81, annex B)."""
    import tensorflow as tf

    size = tf.cast(tf.strings.length(contents), tf.int64)

    def step(at: Any, pixels: Any, busy: Any) -> Any:
        part = _read(contents, _pick(busy, at, 0), _PART)
        mark = part[:, 1]
        fills = (part[:, 0] != 0xFF) | (mark == 0xFF)  # noqa: PLR2004 - libjpeg passes over such bytes
        alone = (mark <= 1) | ((mark >= 0xD0) & (mark < 0xD8))  # noqa: PLR2004 - no length follows
        is_frame = (mark >= 0xC0) & (mark <= 0xCF) & (mark != 0xC4) & (mark != 0xC8) & (mark != 0xCC)  # noqa: PLR2004
        is_end = (mark >= 0xD8) & (mark <= 0xDA) | is_frame  # noqa: PLR2004 - another picture, the end, or pixels
        ahead = _pick(fills, 1, _pick(alone, 2, 2 + _big(part, 2, 2)))
        sides = _big(part, 5, 2) * _big(part, 7, 2)
        pixels = _pick(busy & ~fills & ~alone & is_frame, sides, pixels)
        at = _pick(busy, at + tf.cast(ahead, tf.int64), at)
        return at, pixels, busy & (fills | alone | ~is_end) & (at < size)

    zeros = tf.zeros_like(size)
    _, pixels, _ = tf.while_loop(
        lambda _at, _pixels, busy: tf.reduce_any(busy),
        step,
        (zeros + 2, zeros, is_jpeg),
        maximum_iterations=SEGMENTS,
        parallel_iterations=1,
    )
    return _pick(_count_scans(contents, is_jpeg) <= SCANS, pixels, 0)


def _count_scans(contents: Any, is_jpeg: Any) -> Any:
    import tensorflow as tf

    parts = tf.strings.split(tf.where(is_jpeg, contents, b""), SCAN_MARK, maxsplit=SCANS + 1)
    return parts.row_lengths() - 1


def _gif_pixels(contents: Any, is_gif: Any) -> Any:
    """Walks over the blocks of each GIF (GIF89a, section 12): a decoder unpacks all frames."""
    import tensorflow as tf

    size = tf.cast(tf.strings.length(contents), tf.int64)

    def step(at: Any, sums: Any, sides: Any, busy: Any, steps: Any) -> Any:
        part = _read(contents, _pick(busy, at, 0), _PART)
        is_frame, is_extension = busy & (part[:, 0] == 0x2C), busy & (part[:, 0] == 0x21)  # noqa: PLR2004
        frame = _pick(is_frame[:, None], tf.stack([_little(part, 5, 2), _little(part, 7, 2)], 1), 0)
        sums, sides = sums + frame[:, 0] * frame[:, 1], tf.maximum(sides, frame)
        at += _pick(is_frame, 11 + _palette_size(part[:, 9]), 2 * tf.cast(is_extension, tf.int64))
        at, steps = _pass_blocks(contents, at, (is_frame | is_extension) & (at < size), steps)
        return at, sums, sides, (is_frame | is_extension) & (at < size) & (steps <= BLOCKS), steps

    zeros = tf.zeros_like(size)
    start = zeros + 13 + _palette_size(_read(contents, zeros, 11)[:, 10])
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
        length = _read(contents, _pick(busy, at, 0), 1)[:, 0]
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


def _read(contents: Any, at: Any, count: int) -> Any:
    """Returns bytes of each content from a place on, int64 (batch, count); 0 behind its end."""
    import tensorflow as tf

    parts = tf.strings.substr(contents, at, tf.zeros_like(at) + count)
    return tf.cast(tf.io.decode_raw(parts, tf.uint8, fixed_length=count), tf.int64)


def _has(head: Any, at: int, text: bytes) -> Any:
    import tensorflow as tf

    return tf.reduce_all(head[:, at : at + len(text)] == list(text), axis=1)


def _little(head: Any, at: int, count: int) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(head[:, at : at + count] * [256**place for place in range(count)], axis=1)


def _big(head: Any, at: int, count: int) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(head[:, at : at + count] * [256**place for place in reversed(range(count))], axis=1)


def _signed(head: Any, at: int) -> Any:

    value = _little(head, at, 4)
    return _pick(value < 2**31, value, value - 2**32)


def _pick(condition: Any, value: Any, other: Any) -> Any:
    """Returns `tf.where` of numbers, which it would give two types."""
    import tensorflow as tf

    return tf.where(condition, tf.cast(value, tf.int64), tf.cast(other, tf.int64))
