"""PSNR by its formula, luma against Pillow's conversion, SSIM of equal pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation.metrics import restoration


def test_psnr_is_its_formula_without_the_border():
    random = np.random.default_rng(1)
    one = random.uniform(0, 255, (20, 24))
    other = one + random.normal(0, 5, one.shape)
    other[:3], other[-3:], other[:, :3], other[:, -3:] = 0, 0, 0, 0
    error = np.square(one - other)[3:-3, 3:-3].mean()
    expected = 10 * np.log10(255**2 / error)
    assert restoration.psnr([one], [other], shave=3).value == pytest.approx(expected, rel=1e-5)


def test_luma_is_that_of_ycbcr_in_studio_range():
    pixels = np.random.default_rng(2).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    full = np.asarray(Image.fromarray(pixels).convert("YCbCr"))[..., 0].astype(float)  # Pillow's range is 0 to 255
    np.testing.assert_allclose(16 + full * 219 / 255, restoration.luma(pixels), atol=1.0)
    np.testing.assert_allclose([[16.0, 235.0]], restoration.luma(np.array([[0, 255]])))


def test_equal_pictures_are_similar():
    picture = np.random.default_rng(3).uniform(0, 255, (32, 32))
    assert restoration.ssim([picture], [picture]).value == pytest.approx(1.0)
    assert restoration.ssim([picture], [255 - picture]).value < 0.5
