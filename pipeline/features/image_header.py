"""The check of encoded images in the TensorFlow graph, before a decoder sees them: format and number of pixels.

TensorFlow's decoder tells formats by itself and knows more of them than are documented: some end the process
(github.com/tensorflow/tensorflow/issues/126353), others take minutes. And few bytes can stand for gigabytes of pixels.
So the graph lets only the documented formats through, of a size that their own headers give. It is part of every
export, and so protects tensorflow/serving as well. Same rules in Python: `serving/wire/image_header.py`.
"""

from __future__ import annotations

from typing import Any

from serving.wire.image_header import BLOCKS, FRAMES, HEAD, MARKS, SCANS, WEBP_ANIMATED

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

    head = _read_bytes(contents, tf.zeros_like(contents, tf.int64), HEAD)
    png, jpeg, gif87, gif89, bmp, webp_x, webp_l, webp = tf.unstack(_find_formats(head), axis=1)
    sizes = tf.cast(tf.matmul(tf.cast(head, tf.float64), _weights()), tf.int64)
    width, height, bmp_width, bmp_height, canvas_width, canvas_height, bits, side, other = tf.unstack(sizes, axis=1)
    cases = [
        (png, tf.minimum(width, 2**31) * tf.minimum(height, 2**31)),
        (bmp, tf.abs(_to_signed(bmp_width)) * tf.abs(_to_signed(bmp_height))),
        (webp_x & (head[:, 20] // WEBP_ANIMATED % 2 == 0), (canvas_width + 1) * (canvas_height + 1)),
        (webp_l, (bits % 2**14 + 1) * (bits // 2**14 % 2**14 + 1)),
        (webp, (side % 2**14) * (other % 2**14)),
    ]
    pixels = tf.add_n([tf.where(is_kind, value, 0) for is_kind, value in cases])
    nothing = tf.zeros_like(pixels)
    jpegs = tf.cond(tf.reduce_any(jpeg), lambda: _jpeg_pixels(contents, jpeg), lambda: nothing)
    is_gif = gif87 | gif89
    # Its loops would cost others something, too. A call that is not inlined is one operation, which is not taken.
    walk = tf.function(_gif_pixels, autograph=False, experimental_attributes={"_noinline": True})
    return pixels + jpegs + tf.cond(tf.reduce_any(is_gif), lambda: walk(contents, is_gif), lambda: nothing)


def _find_formats(head: Any) -> Any:
    """Returns which signature each content begins with, bool (batch, signatures)."""
    import tensorflow as tf

    texts = [
        {0: b"\x89PNG\r\n\x1a\n", 12: b"IHDR"},
        {0: b"\xff\xd8\xff"},
        {0: b"GIF87a"},
        {0: b"GIF89a"},
        {0: b"BM"},
        {0: b"RIFF", 8: b"WEBPVP8X"},
        {0: b"RIFF", 8: b"WEBPVP8L", 20: b"\x2f"},
        {0: b"RIFF", 8: b"WEBPVP8 ", 23: b"\x9d\x01\x2a"},
    ]
    wanted = [[-1] * HEAD for _ in texts]
    for row, parts in zip(wanted, texts, strict=True):
        for at, text in parts.items():
            row[at : at + len(text)] = list(text)
    free = tf.constant([[value < 0 for value in row] for row in wanted])
    return tf.reduce_all((head[:, None] == tf.constant(wanted, tf.int64)) | free, axis=2)


def _weights() -> list[list[float]]:
    """Returns what turns a head into numbers: width and height of PNG, BMP and VP8X, bits of VP8L, sides of VP8."""
    fields = [
        ("big", 16, 4),
        ("big", 20, 4),
        ("little", 18, 4),
        ("little", 22, 4),
        ("little", 24, 3),
        ("little", 27, 3),
    ]
    fields += [("little", 21, 4), ("little", 26, 2), ("little", 28, 2)]
    columns = []
    for order, start, count in fields:
        places = range(count) if order == "little" else reversed(range(count))
        column = [0.0] * HEAD
        column[start : start + count] = [256.0**place for place in places]
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


def _to_signed(value: Any) -> Any:
    import tensorflow as tf

    return tf.where(value < 2**31, value, value - 2**32)


def _pick(condition: Any, value: Any, other: Any) -> Any:
    """Returns `tf.where` of numbers, which it would give two types."""
    import tensorflow as tf

    return tf.where(condition, tf.cast(value, tf.int64), tf.cast(other, tf.int64))
