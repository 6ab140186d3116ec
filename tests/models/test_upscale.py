"""The recipe upscale: pictures of any size and colours, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import upscale
from pipeline.features import image
from pipeline.recipe import Spec

SHAPES = {"small": ((24, 24, 1), "float32"), "smooth": ((72, 72, 1), "float32")}


@pytest.fixture(scope="module")
def model():
    return upscale.build(upscale.Params(filters=(8, 8)), Spec(SHAPES, (), 10))


@pytest.fixture(scope="module")
def untrained(model):
    """The network with no detail at all."""
    before = model.get_layer("detail").get_weights()
    model.get_layer("detail").set_weights([0 * each for each in before])
    yield model
    model.get_layer("detail").set_weights(before)


def encode(pixels, kind="png", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def ask(model, *contents):
    answer = upscale.outputs(model, {"image_bytes": tf.constant(contents)})
    return [np.asarray(image.open_image(content)) for content in answer["image_bytes"].numpy()], answer[
        "detail"
    ].numpy()


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_every_picture_has_three_times_its_size(model):
    sizes = [(1, 1), (2, 50), (37, 24), (24, 24)]
    found, _ = ask(model, *[encode(noise(*size, 3)) for size in sizes])
    assert [(3 * height, 3 * width, 3) for height, width in sizes] == [pixels.shape for pixels in found]


def test_rows_alone_are_the_same(model):
    contents = [encode(noise(9, 30, 3)), encode(noise(24, 24, 3)), encode(noise(9, 30, 3), "jpeg")]
    together, detail = ask(model, *contents)
    for row, content in enumerate(contents):
        (alone,), one = ask(model, content)
        np.testing.assert_array_equal(alone, together[row])
        assert one == detail[row]


def test_without_detail_it_is_the_interpolation(untrained):
    picture = noise(20, 31, 3) // 2 + 64  # Pillow cuts at 0 and 255 after each direction
    expected = np.asarray(Image.fromarray(picture).resize((93, 60), Image.Resampling.BICUBIC), int)
    (found,), detail = ask(untrained, encode(picture))
    inner = (slice(6, -6), slice(6, -6))  # a border is continued in another way
    assert abs(expected - found)[inner].max() <= 1
    assert 0 == detail


def test_grey_stays_grey_and_alpha_and_palette_are_colours(model):
    grey = noise(12, 12)
    (one, two), _ = ask(model, encode(grey), encode(np.repeat(grey[..., None], 3, -1)))
    np.testing.assert_array_equal(one, two)
    assert (one[..., 0] == one[..., 1]).all()
    colours = np.kron(noise(3, 3, 3), np.ones((4, 4, 1), np.uint8))
    palette = Image.fromarray(colours).quantize(9)
    buffer = io.BytesIO()
    palette.save(buffer, "png")
    with_alpha = np.concatenate([colours, noise(12, 12, 1)], axis=-1)
    (plain, alpha, indexed), _ = ask(model, encode(colours), encode(with_alpha), buffer.getvalue())
    np.testing.assert_array_equal(plain, alpha)
    expected, _ = ask(model, encode(np.asarray(palette.convert("RGB"))))
    np.testing.assert_array_equal(expected[0], indexed)


@pytest.mark.parametrize("content", [encode(np.zeros((1025, 1024), np.uint8)), b"no picture", b""])
def test_too_large_and_unreadable_pictures_are_refused(model, content):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"of at most 1048576 pixels"):
        ask(model, encode(noise(4, 4)), content)


def test_luma_is_that_of_the_evaluation():
    from pipeline.evaluation.metrics.restoration import luma

    picture = noise(5, 6, 3)
    np.testing.assert_allclose(luma(picture) / 255, upscale.luma(picture)[..., 0], atol=1e-6)
