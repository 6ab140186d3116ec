"""The probe against scikit-learn's, and vectors that have collapsed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation.metrics import representation

RANDOM = np.random.default_rng(0)


def on_sphere(rows, width):
    vectors = RANDOM.normal(size=(rows, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_in_all_directions_spread_by_one_and_have_full_rank():
    vectors = on_sphere(5000, 16)
    assert pytest.approx(1.0, abs=0.02) == representation.measure_spread(vectors)
    assert pytest.approx(16.0, abs=0.1) == representation.effective_rank(vectors)


def test_vectors_that_are_all_alike_have_collapsed():
    vectors = np.repeat(on_sphere(1, 16), 100, axis=0)
    assert pytest.approx(0.0, abs=1e-9) == representation.measure_spread(vectors)
    assert 1.0 == representation.effective_rank(np.ones((100, 16)) / 4)


def test_vectors_on_a_line_or_in_a_plane_have_collapsed_in_their_directions():
    line, plane = RANDOM.normal(size=(500, 1)) @ np.ones((1, 8)), np.zeros((4000, 8))
    plane[:, :2] = RANDOM.normal(size=(4000, 2))
    assert pytest.approx(1.0, abs=1e-6) == representation.effective_rank(line)
    assert pytest.approx(2.0, abs=0.01) == representation.effective_rank(plane)


def test_probe_is_logistic_regression_on_standardized_vectors():
    vectors = RANDOM.normal(size=(200, 6)) * [1, 2, 3, 0.1, 0.01, 1]
    labels = (vectors[:, 0] > 0).astype(int) + (vectors[:, 3] > 0.05)
    kernel, bias = representation.fit_probe(vectors, labels, 3)
    scaled = StandardScaler().fit_transform(vectors)
    expected = LogisticRegression(C=representation.STRENGTH, solver="newton-cg").fit(scaled, labels)
    logits = vectors @ kernel + bias
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected.predict_proba(scaled), chances, atol=1e-3)


def test_a_class_without_rows_gets_nearly_no_probability():
    vectors = RANDOM.normal(size=(100, 4))
    kernel, bias = representation.fit_probe(vectors, np.where(vectors[:, 0] > 0, 1, 3), 5)
    assert (4, 5) == kernel.shape
    answers = (vectors @ kernel + bias).argmax(axis=1)
    assert {1, 3} == set(answers.tolist())
