"""Calibration: against a straightforward computation and scikit-learn's curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pipeline.evaluation import diagnostics


def two(confidence):
    """Probabilities of two classes, the first the answer."""
    return np.stack([confidence, 1 - confidence], axis=1)


def test_perfectly_calibrated_answers_have_no_error():
    probabilities, truth = two(np.full(100, 0.8)), np.array([0] * 80 + [1] * 20)
    assert pytest.approx(0.0, abs=1e-12) == diagnostics.calibration_error(
        diagnostics.reliability_curve(probabilities, truth, 1)
    )


def test_overconfident_answers_have_the_gap_as_error():
    probabilities, truth = two(np.full(90, 0.99)), np.array([0] * 45 + [1] * 45)
    assert pytest.approx(0.49) == diagnostics.calibration_error(diagnostics.reliability_curve(probabilities, truth, 1))


def test_curve_is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    confidence = random.uniform(0.5, 1.0, 1500)
    truth = (random.random(1500) > confidence**2).astype(int)
    found = diagnostics.reliability_curve(two(confidence), truth)
    accuracy, mean = calibration_curve(truth == 0, confidence, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(mean, [one.confidence for one in found], atol=1e-3)
    np.testing.assert_allclose(accuracy, [one.accuracy for one in found], atol=0.02)


@given(st.integers(1, 200), st.integers(2, 6), st.integers(0, 2**31))
def test_bins_hold_every_row_once_and_about_as_many(rows, classes, seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), rows)
    bins = diagnostics.reliability_curve(probabilities, random.integers(0, classes, rows))
    sizes = [one.rows for one in bins]
    assert rows == sum(sizes)
    assert max(sizes) - min(sizes) <= 1
    assert sorted(one.confidence for one in bins) == [one.confidence for one in bins]
    assert 0 <= diagnostics.calibration_error(bins) <= 1


def test_no_rows_have_no_error():
    assert math.isnan(diagnostics.calibration_error([]))
