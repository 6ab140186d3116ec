"""Overlap of masks against scikit-learn, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from pipeline.evaluation.metrics import segmentation


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_overlaps_are_those_of_scikit_learn(seed, share):
    one, other = np.random.default_rng(seed).random((2, 9, 7)) < share
    flat = one.ravel(), other.ravel()
    assert segmentation.dice([one], [other]).value == pytest.approx(f1_score(*flat, zero_division=1.0))
    assert segmentation.intersection_over_union([one], [other]).value == pytest.approx(
        jaccard_score(*flat, zero_division=1.0)
    )


def test_empty_masks_agree_and_the_mean_is_over_pictures():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    half = np.arange(16).reshape(4, 4) < 8
    assert segmentation.dice([empty, full], [empty, half]).value == pytest.approx((1 + 2 / 3) / 2)
    assert segmentation.intersection_over_union([empty], [full]).value == 0.0
