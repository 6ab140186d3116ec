"""The area under the ROC curve: scikit-learn's value, the bootstrap's variance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import row_metrics
from pipeline.recipe import Metric

CLASSES = ("a", "b", "c")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
def test_area_is_that_of_scikit_learn_with_ties(rows):
    positive = np.array([one for one, _ in rows])
    scores = np.array([score for _, score in rows], float)
    (found,), _ = row_metrics.roc_areas(positive, scores[None])
    if positive.all() or not positive.any():
        assert math.isnan(found)
    else:
        assert pytest.approx(roc_auc_score(positive, scores)) == found


def test_covariance_is_that_of_the_bootstrap():
    random = np.random.default_rng(5)
    positive = random.random(300) < 0.4
    one = random.normal(positive.astype(float), 1.0)
    two = one + random.normal(0, 1.0, 300)
    _, found = row_metrics.roc_areas(positive, np.stack([one, two]))
    draws = random.integers(0, 300, (600, 300))
    again = [row_metrics.roc_areas(positive[rows], np.stack([one, two])[:, rows])[0] for rows in draws]
    np.testing.assert_allclose(np.cov(np.array(again).T), found, rtol=0.2)


def test_only_an_area_of_one_class_or_of_a_score_is_taken():
    truth, probabilities = np.array([0, 1, 2]), np.eye(3)
    positive, scores = row_metrics.binary_scores(
        Metric("auc", "AUC", positive="b"), "classes", truth, probabilities, CLASSES
    )
    assert ([False, True, False], [0.0, 1.0, 0.0]) == (positive.tolist(), scores.tolist())
    for metric in (Metric("auc", "AUC"), Metric("accuracy", "SparseCategoricalAccuracy"), Metric("skill")):
        assert row_metrics.binary_scores(metric, "classes", truth, probabilities, CLASSES) is None
    curve = Metric("auc", "AUC", {"curve": "PR"}, positive="b")
    assert row_metrics.binary_scores(curve, "classes", truth, probabilities, CLASSES) is None
    assert row_metrics.binary_scores(Metric("auc"), "score", truth > 0, np.arange(3.0), ()) is not None
