"""Only documented formats of a bounded size reach TensorFlow's decoder, in the graph itself."""

from __future__ import annotations

import io
import struct

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.features import image, image_header
from serving.wire.image_header import BLOCKS, MARKS, SCANS, count_pixels

MODES = {"PNG": "RGB", "JPEG": "RGB", "GIF": "P", "BMP": "RGB", "WEBP": "RGB"}
JXL = b"\xff\x0a\xfe\xff\xff\xff\x0f\x82\xe2\x46\x00"  # ends TensorFlow 2.21


@pytest.fixture(scope="module")
def graph():
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def count(contents):
        return image_header.count_pixels(contents)

    return lambda contents: count(tf.constant(contents, tf.string)).numpy().tolist()


def saved(kind, size=(5, 7), **options):
    buffer = io.BytesIO()
    Image.new(MODES[kind], size).save(buffer, kind, **options)
    return buffer.getvalue()


def gif(frames, sizes):
    """A GIF of empty frames; data of 255 bytes each."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    parts = [
        b"!\xf9\x04" + bytes(5) + b"," + struct.pack("<HHHHB", 0, 0, *size, 0x81) + bytes(12) + b"\x02"
        + b"\xff" + bytes(255) + b"\0"
        for size in sizes
    ]  # fmt: skip
    return screen + b"".join(parts * frames) + b";"


def jpeg(*segments, size=(7, 5)):
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, *size, 1) + bytes(3)
    return b"\xff\xd8" + b"".join(segments) + frame


def segment(mark, length):
    return bytes([0xFF, mark]) + struct.pack(">H", length + 2) + bytes(length)


PIXELS = {
    "png": (saved("PNG"), 35),
    "huge png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 8, 2**62),
    "jpeg": (saved("JPEG"), 35),
    "progressive jpeg": (saved("JPEG", (640, 480), progressive=True), 640 * 480),
    "jpeg with a preview": (jpeg(segment(0xE1, 9000), b"\xff\xff", segment(0xFE, 0), b"ab\0"), 35),
    "jpeg with a larger preview": (jpeg(jpeg(size=(70, 50))), 3500),
    "jpeg whose size is late": (jpeg(segment(0xE1, 60_000) * 9), 35),
    "jpeg without a size": (jpeg()[:2] + b"\xff\xda", 0),
    "jpeg of many scans": (jpeg() + b"\xff\xda" * (SCANS + 1), 0),
    "jpeg of many marks": (jpeg(b"\xff\xc4" * (MARKS + 1)), 0),
    "jpeg of nothing but filling": (jpeg(b"\xff" * 2_000_000), 35),
    "gif": (saved("GIF"), 35),
    "gif of two frames": (gif(2, [(5, 7)]), 70),
    "gif of many frames": (gif(50, [(30, 20), (20, 30)]), 50 * 1200),
    "gif that is wide and high": (gif(1, [(60_000, 1), (1, 60_000)]), 60_000**2),
    "gif of many blocks": (gif(1, [(2, 2)])[:-1] + b"!\xfe" + b"\x01a" * (BLOCKS + 1) + b"\0;", 0),
    "bmp": (saved("BMP"), 35),
    "bmp from the top": (b"BM" + bytes(16) + struct.pack("<ii", 6, -(2**31)) + bytes(9), 6 * 2**31),
    "webp": (saved("WEBP"), 35),
    "lossless webp": (saved("WEBP", lossless=True), 35),
    "webp with alpha": (saved("WEBP", exif=b"Exif\0\0"), 35),
    "huge webp": (b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0\x2f\xfe\xbf\xff\x0f\x07" + bytes(12), 16383 * 16383),
    "animated webp": (b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x02" + bytes(20), 0),
    "jpeg xl": (JXL, 0),
    "jpeg xl in boxes": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), 0),
    "tiff": (b"II*\0" + bytes(40), 0),
    "avif": (b"\0\0\0\x1cftypavif" + bytes(40), 0),
    "wav": (b"RIFF\x1a\0\0\0WAVEfmt " + bytes(40), 0),
    "nothing": (b"", 0),
}


@pytest.mark.heavy
@pytest.mark.parametrize(("content", "pixels"), PIXELS.values(), ids=PIXELS)
def test_pixels_are_those_of_the_header(graph, content, pixels):
    assert pixels == count_pixels(content)
    assert [pixels, 35, pixels] == graph([content, saved("PNG"), content])


def test_no_content_has_no_pixels(graph):
    assert [] == graph([])


@settings(max_examples=150)
@given(
    st.sampled_from([content for content, _ in PIXELS.values() if len(content) < 2000]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
    st.integers(0),
)
def test_graph_and_server_count_alike_whatever_is_damaged(graph, content, changes, cut):
    damaged = bytearray(content or b"x")
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    damaged = bytes(damaged[: len(damaged) - cut % (len(damaged) + 1)])
    assert [count_pixels(damaged)] == graph([damaged])


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_have_a_count(graph, contents):
    assert [count_pixels(content) for content in contents] == graph(contents)


@pytest.mark.parametrize("resize", [True, False])
@pytest.mark.parametrize(
    "name",
    ["jpeg xl", "jpeg xl in boxes", "tiff", "animated webp", "huge webp", "huge png", "gif that is wide and high"],
)
def test_what_is_not_documented_never_reaches_the_decoder(resize, name):
    bad, _ = PIXELS[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected PNG, JPEG, GIF, BMP or WebP of at most"):
        image.decode(tf.constant([saved("PNG"), bad]), (7, 5, 3), resize=resize)
    assert image.fault(bad, (7, 5, 3), resize=resize)


@pytest.mark.heavy
def test_large_image_is_refused_before_it_is_decoded():
    content = saved("PNG", (10_000, 9_000))
    with pytest.raises(tf.errors.InvalidArgumentError, match="90000000"):
        image.decode(tf.constant([content]), (7, 5, 3), resize=True)
    assert "90,000,000 pixels" in image.fault(content, (7, 5, 3), resize=True)


def test_image_of_an_exact_size_may_have_many_frames():
    frames = [Image.new("P", (5, 7), colour) for colour in range(1, 40)]
    content = saved("GIF", save_all=True, append_images=frames)
    assert "" == image.fault(content, (7, 5, 3))
    assert (1, 7, 5, 3) == image.decode(tf.constant([content]), (7, 5, 3)).shape


def test_the_largest_image_passes_and_one_row_more_does_not():
    """Pillow's own limit; nothing is decoded to find out."""

    def head(width, height):
        return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBBI", width, height, 8, 2, 0, 0, 0, 0)

    width = 5
    largest, larger = head(width, image.PIXELS // width), head(width, image.PIXELS // width + 1)
    assert image.PIXELS == count_pixels(largest) == image.most_pixels((8, 8, 3), resize=True)
    check = tf.function(lambda contents: image_header.check(contents, image.PIXELS))
    assert largest == check(tf.constant([largest])).numpy()[0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 89478485 pixels"):
        check(tf.constant([larger]))
    assert "89,478,490 pixels in all its frames, expected at most 89,478,485" == image.fault(
        larger, (8, 8, 3), resize=True
    )
    with pytest.raises(ValueError, match="89478490 pixels by its header"):
        image.open_image(larger)
    assert (5, 7) == image.open_image(saved("PNG")).size
