"""The recipe painting: its losses, how much it paints, pictures of any size, and what is refused."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import _style_loss, _vgg16, painting
from models._brush_strokes import draw_style
from pipeline.features import image
from pipeline.generation.png import COMMENT, SOURCE_TYPE, XMP_KEYWORD
from pipeline.recipe import Spec

SHAPES = {"image": ((128, 128, 3), "uint8"), "strength": ((), "float32")}


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painting, "style_grams", lambda: None)  # nothing is learnt here
        return painting.build(painting.Params(filters=(4, 8, 8), blocks=1), Spec(SHAPES, (), 10))


@pytest.fixture
def _weights():
    pytest.importorskip(_vgg16.MODULE, reason="uv sync --extra vgg installs the weights")


def encode(pixels, kind="png"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def ask(model, *rows):
    """Asks for rows of (content, strength); returns pixels and changes."""
    contents, strengths = zip(*rows, strict=True)
    given = {"image_bytes": tf.constant(contents), "strength": tf.constant(strengths, tf.float32)}
    features = painting.preprocess(given, painting.Params())
    answer = painting.outputs(model, features)
    return [np.asarray(image.open_image(each)) for each in answer["image_bytes"].numpy()], answer["change"].numpy()


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_gram_is_that_of_plain_arithmetic():
    features = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    expected = np.zeros((2, 4, 4))
    for row, first, second in np.ndindex(expected.shape):
        expected[row, first, second] = (features[row, ..., first] * features[row, ..., second]).sum() / (3 * 5 * 4)
    np.testing.assert_allclose(expected, _style_loss.gram(tf.constant(features)), rtol=1e-5, atol=1e-6)


def test_strength_0_gives_the_picture_back(model):
    picture = noise(21, 34, 3)
    (pixels,), change = ask(model, (encode(picture), 0.0))
    np.testing.assert_array_equal(picture, pixels)
    assert [0] == change


def test_strength_blends_picture_and_style(model):
    picture = encode(noise(21, 34, 3))
    (none, half, full), change = ask(model, (picture, 0.0), (picture, 0.5), (picture, 1.0))
    np.testing.assert_allclose((none.astype(float) + full) / 2, half, atol=1.01)
    assert 0 < change[1] == pytest.approx(change[2] / 2)


@pytest.mark.parametrize(("strength", "same"), [(-1.0, 0.0), (7.0, 1.0), (math.inf, 1.0), (math.nan, 1.0)])
def test_other_strengths_are_clipped_and_without_one_it_is_1(model, strength, same):
    picture = encode(noise(9, 9, 3))
    (pixels, expected), _ = ask(model, (picture, strength), (picture, same))
    np.testing.assert_array_equal(expected, pixels)


def test_every_picture_has_the_size_that_it_had(model):
    sizes = [(1, 1), (2, 50), (37, 24), (128, 128), (3, 5)]
    painted, _ = ask(model, *[(encode(noise(*size, 3)), 1.0) for size in sizes])
    assert [(*size, 3) for size in sizes] == [pixels.shape for pixels in painted]


def test_rows_alone_are_the_same(model):
    rows = [(encode(noise(9, 30, 3)), 1.0), (encode(noise(24, 24, 3)), 0.3), (encode(noise(9, 30, 3), "jpeg"), 0.9)]
    together, changes = ask(model, *rows)
    for row, pixels, change in zip(rows, together, changes, strict=True):
        (alone,), (own,) = ask(model, row)
        np.testing.assert_array_equal(alone, pixels)
        assert own == change


def test_an_answer_says_that_a_model_made_it(model):
    features = painting.preprocess(
        {"image_bytes": tf.constant([encode(noise(5, 5, 3))]), "strength": tf.constant([0.5])}, painting.Params()
    )
    picture = Image.open(io.BytesIO(painting.outputs(model, features)["image_bytes"].numpy()[0]))
    assert COMMENT == picture.info["Comment"]
    assert SOURCE_TYPE in str(picture.info[XMP_KEYWORD])


@pytest.mark.parametrize("content", [encode(np.zeros((1025, 1024), np.uint8)), b"no picture", b""])
def test_too_large_and_unreadable_pictures_are_refused(model, content):
    features = {"image_bytes": tf.constant([encode(noise(4, 4, 3)), content]), "strength": tf.ones(2)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"of at most 1048576 pixels"):
        painting.outputs(model, features)


def test_the_style_is_always_the_same_picture():
    assert (256, 256, 3) == draw_style().shape
    np.testing.assert_array_equal(draw_style(), draw_style.__wrapped__())


def test_a_square_is_cut_from_the_middle():
    picture = np.zeros((128, 384, 3), np.uint8)
    picture[:, 128:256] = 200
    assert (painting.read(painting.shrink(encode(picture))) == 200).all()


@pytest.mark.heavy
@pytest.mark.usefixtures("_weights")
def test_losses_are_0_where_content_or_style_are_reached():
    style = draw_style()[None].astype(np.float32)
    content, style_loss, variation = _style_loss.compare(style, style)
    assert [0] == content.numpy()
    assert [0] == pytest.approx(style_loss.numpy(), abs=1e-6)
    steps = [np.diff(style / 255.0, axis=axis) for axis in (1, 2)]
    np.testing.assert_allclose(sum((step**2).mean() for step in steps), variation[0], rtol=1e-4)


@pytest.mark.heavy
@pytest.mark.usefixtures("_weights")
def test_losses_are_shares_of_what_is_compared_with():
    style, picture = draw_style(64)[None].astype(np.float32), noise(1, 64, 64, 3).astype(np.float32)
    seen, wanted = ({k: v.numpy() for k, v in _style_loss.look(each).items()} for each in (picture, style))
    content, style_loss, _ = (each.numpy()[0] for each in _style_loss.compare(picture, style))
    difference = seen[_style_loss.CONTENT] - wanted[_style_loss.CONTENT]
    assert content == pytest.approx((difference**2).sum() / (wanted[_style_loss.CONTENT] ** 2).sum(), rel=1e-4)
    grams = {name: values.numpy() for name, values in _style_loss.style_grams().items()}
    own = {name: np.einsum("bhwi,bhwj->bij", seen[name], seen[name]) / seen[name][0].size for name in grams}
    shares = [((own[name] - grams[name]) ** 2).sum() / (grams[name] ** 2).sum() for name in grams]
    assert style_loss == pytest.approx(np.mean(shares), rel=1e-3)


@pytest.mark.heavy
@pytest.mark.usefixtures("_weights")
def test_optimising_pixels_makes_the_sum_smaller_and_stays_in_range():
    pictures, weights = noise(2, 32, 32, 3).astype(np.float32), (1.0, 10.0, 5.0)
    optimised = _style_loss.optimise(pictures, weights, 10)
    before, after = (
        sum(weight * loss.numpy() for weight, loss in zip(weights, _style_loss.compare(each, pictures), strict=True))
        for each in (pictures, optimised)
    )
    assert (after < 0.8 * before).all()
    assert 0 <= optimised.min()
    assert optimised.max() <= 255
