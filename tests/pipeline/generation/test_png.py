"""The mark of generated images, read by another library."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.generation import png


@pytest.mark.parametrize("channels", [1, 3])
def test_a_generated_picture_says_so(channels):
    pixels = np.random.default_rng(0).random((4, 9, 7, channels)).astype("float32")
    files = png.encode_generated(lambda rows: rows, tf.constant(pixels)).numpy()
    for content, expected in zip(files, pixels, strict=True):
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert image.text["Comment"] == png.COMMENT
            assert png.SOURCE_TYPE in image.text[png.XMP_KEYWORD]
            drawn = np.asarray(image).reshape(expected.shape)
        np.testing.assert_array_equal(drawn, np.round(expected * 255).astype("uint8"))
        np.testing.assert_array_equal(tf.io.decode_png(content).numpy(), drawn)


def test_a_row_alone_gets_the_same_bytes():
    pixels = tf.random.stateless_uniform([3, 8, 8, 1], [1, 2])
    files = png.encode_generated(lambda rows: rows, pixels).numpy()
    assert files[1] == png.encode_generated(lambda rows: rows, pixels[1:2]).numpy()[0]
