"""The distance of generated images, against the one that the gate goes by."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.metrics import generation
from pipeline.generation.distance import kernel_distance, random_features

RANDOM = np.random.default_rng(0)


def test_agrees_with_the_metric_of_the_gate():
    real, drawn = RANDOM.normal(size=(200, 8)), RANDOM.normal(0.5, 2.0, (100, 8))
    scaled = [(part - real.mean(0)) / real.std(0) for part in (real, drawn)]
    found = kernel_distance(*(part.astype("float32") for part in (real, drawn)))
    assert float(found) == pytest.approx(generation.kernel_distance(*scaled), rel=1e-3)


def test_features_are_always_the_same_and_tell_blur_from_noise():
    images = RANDOM.random((64, 28, 28, 1)).astype("float32")
    first, again = (np.asarray(random_features((28, 28, 1))(images)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    smooth = np.asarray(random_features((28, 28, 1))(np.full_like(images, 0.5)))
    assert float(kernel_distance(first[:32], first[32:])) < 1 < float(kernel_distance(first[:32], smooth[32:]))
