"""What `fault` lets through is what the graph decodes, to the same pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.features import image

SIDES = st.integers(1, 12)
# Mode and format, channels in which it is accepted, how far decoders may differ.
KINDS = {
    "grey png": ("L", "png", 1, 0),
    "black and white png": ("1", "png", 1, 0),
    "colour png": ("RGB", "png", 3, 0),
    "colour bmp": ("RGB", "bmp", 3, 0),
    "colour bmp of 32 bits": ("RGBA", "bmp", 3, 0),
    "colour gif": ("RGB", "gif", 3, 0),
    "grey gif": ("L", "gif", 3, 0),
    "grey jpeg": ("L", "jpeg", 1, 3),
    "colour jpeg": ("RGB", "jpeg", 3, 12),
    "two pictures in a jpeg": ("RGB", "mpo", 3, 12),
    "colour webp": ("RGB", "webp", 3, 1),
}
REFUSED = {
    "alpha": ("RGBA", "png", "an alpha channel"),
    "grey with alpha": ("LA", "png", "an alpha channel"),
    "palette": ("P", "png", "PNG in colour mode P"),
    "print": ("CMYK", "jpeg", "JPEG in colour mode CMYK"),
    "grey bmp": ("L", "bmp", "BMP of 8 bits per pixel, expected 24 or 32"),
    "black and white bmp": ("1", "bmp", "BMP of 1 bits per pixel, expected 24 or 32"),
    "tiff": ("RGB", "tiff", "not a readable image"),
    "ppm": ("RGB", "ppm", "not a readable image"),
}


def decoded(content, shape):
    return image.decode(tf.constant([content]), shape).numpy()[0]


@pytest.mark.parametrize(("mode", "kind", "channels", "tolerance"), KINDS.values(), ids=KINDS)
def test_accepted_image_is_decoded_to_its_pixels(encoded, mode, kind, channels, tolerance):
    @settings(max_examples=15)
    @given(SIDES, SIDES, st.integers(0, 99))
    def check(height, width, seed):
        content = encoded((height, width), mode, kind, seed)
        shape = (height, width, channels)
        assert "" == image.fault(content, shape)
        with Image.open(io.BytesIO(content)) as opened:
            expected = np.asarray(opened.convert("L" if channels == 1 else "RGB"), np.int32).reshape(shape)
        assert tolerance >= np.abs(expected - decoded(content, shape)).max()
        assert "expected" in image.fault(content, (height, width, 4 - channels))

    check()


def test_sixteen_bits_are_decoded_to_their_upper_eight(encoded):
    content = encoded((5, 4), "I;16")
    assert "" == image.fault(content, (5, 4, 1))
    with Image.open(io.BytesIO(content)) as opened:
        expected = np.asarray(opened) / 257
    assert 1 >= np.abs(expected - decoded(content, (5, 4, 1))[..., 0]).max()


@pytest.mark.parametrize(("mode", "kind", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("channels", [1, 3])
def test_image_of_another_kind_is_refused(encoded, mode, kind, words, channels):
    assert words in image.fault(encoded(mode=mode, kind=kind), (6, 7, channels))


@pytest.mark.parametrize(("mode", "kind"), [("L", "png"), ("RGB", "png"), ("L", "jpeg"), ("RGB", "bmp"), ("L", "gif")])
def test_truncated_image_is_refused_wherever_it_is_cut(encoded, mode, kind):
    content = encoded(mode=mode, kind=kind)
    shape = (6, 7, 1 if (mode, kind) in (("L", "png"), ("L", "jpeg")) else 3)
    assert "" == image.fault(content, shape)
    accepted = [end for end in range(len(content)) if not image.fault(content[:end], shape)]
    for end in accepted:  # what is missing is padding only
        assert np.array_equal(decoded(content, shape), decoded(content[:end], shape))
    assert len(content) - 3 <= min(accepted, default=len(content))


@pytest.mark.parametrize(("mode", "kind"), [("L", "png"), ("RGB", "png")])
def test_png_with_a_flipped_bit_is_refused_or_decoded(encoded, mode, kind):
    content, shape = encoded(mode=mode, kind=kind), (6, 7, 1 if mode == "L" else 3)

    @settings(max_examples=60)
    @given(st.integers(0, 8 * len(content) - 1))
    def check(bit):
        spoilt = bytearray(content)
        spoilt[bit // 8] ^= 1 << bit % 8
        if not image.fault(bytes(spoilt), shape):
            assert shape == decoded(bytes(spoilt), shape).shape

    check()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_image(content):
    assert image.fault(content, (6, 7, 1)).startswith("not a readable image")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_image_that_lies_on_its_side_is_refused(encoded, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert "EXIF orientation 6, expected upright pixels" == image.fault(
        encoded((6, 7), "RGB", kind, exif=exif), (6, 7, 3)
    )
    exif[0x0112] = 1
    assert "" == image.fault(encoded((6, 7), "RGB", kind, exif=exif), (6, 7, 3))


@pytest.mark.parametrize("size", [(7, 6), (1, 7), (6, 14)])
def test_image_of_another_size_is_refused_by_both(encoded, size):
    content = encoded(size)
    assert f"size {size[1]}x{size[0]}, expected 7x6 pixels" == image.fault(content, (6, 7, 1))
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(content, (6, 7, 1))


def test_batch_is_decoded_row_by_row(encoded):
    contents = [encoded(seed=seed) for seed in range(3)]
    batch = image.decode(tf.constant(contents), (6, 7, 1)).numpy()
    assert (3, 6, 7, 1) == batch.shape
    for row, content in zip(batch, contents, strict=True):
        assert np.array_equal(decoded(content, (6, 7, 1)), row)


@settings(max_examples=25)
@given(SIDES, SIDES, st.sampled_from([1, 3]), st.integers(0, 99))
def test_encoded_pixels_come_back(height, width, channels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    content = image.encode_png(pixels[..., 0] if channels == 1 else pixels)
    assert "" == image.fault(content, pixels.shape)
    assert np.array_equal(pixels, decoded(content, pixels.shape))
