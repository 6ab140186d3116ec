"""Encoded images, small and of every kind."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def encoded():
    """Makes the bytes of an image of random pixels: size as (height, width), Pillow's mode and format."""

    def make(size=(6, 7), mode="L", kind="png", seed=0, **options) -> bytes:
        random = np.random.default_rng(seed)
        if mode == "I;16":
            image = Image.fromarray(random.integers(0, 1 << 16, size, dtype=np.uint16))
        else:
            image = Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make
