"""Contributions: their mean is the metric as Keras and scikit-learn compute it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score, top_k_accuracy_score

from pipeline.evaluation import row_metrics
from pipeline.recipe import Metric

RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.integers(0, 4, 200)
EXACT = RANDOM.dirichlet(np.ones(4), 200)
PROBABILITIES = EXACT.astype(np.float32)
NUMBERS, GUESSES = RANDOM.normal(0, 3, 200), RANDOM.normal(0, 3, 200)
WINDOWS, FORECASTS = RANDOM.normal(0, 3, (50, 24)), RANDOM.normal(0, 3, (50, 24))

OF_CLASSES = {
    "accuracy": (Metric("accuracy", "SparseCategoricalAccuracy"), (PROBABILITIES.argmax(axis=1) == TRUTH).mean()),
    "loss": (Metric("loss", "SparseCategoricalCrossentropy"), log_loss(TRUTH, EXACT)),
    "top": (
        Metric("top", "SparseTopKCategoricalAccuracy", {"k": 2}),
        top_k_accuracy_score(TRUTH, PROBABILITIES, k=2),
    ),
    "balanced": (Metric("balanced_accuracy"), balanced_accuracy_score(TRUTH, PROBABILITIES.argmax(axis=1))),
}
OF_NUMBERS = {
    "mae": (Metric("error", "MeanAbsoluteError"), np.abs(NUMBERS - GUESSES).mean()),
    "mse": (Metric("mse", "MeanSquaredError"), np.square(NUMBERS - GUESSES).mean()),
    "r2": (Metric("r2"), r2_score(NUMBERS, GUESSES)),
}


@pytest.mark.parametrize(("metric", "value"), OF_CLASSES.values(), ids=OF_CLASSES)
def test_mean_is_the_metric_of_classes(metric, value):
    found = row_metrics.row_values(metric, "classes", TRUTH, PROBABILITIES, value)
    assert (200,) == found.shape
    assert pytest.approx(value, abs=1e-5) == found.mean()


@pytest.mark.parametrize(("metric", "value"), OF_NUMBERS.values(), ids=OF_NUMBERS)
def test_mean_is_the_metric_of_numbers(metric, value):
    found = row_metrics.row_values(metric, "numbers", NUMBERS, GUESSES, value)
    assert pytest.approx(value) == found.mean()


def test_forecasts_count_by_window():
    value = np.abs(WINDOWS - FORECASTS).mean()
    found = row_metrics.row_values(Metric("mae"), "numbers", WINDOWS, FORECASTS, value)
    assert (50,) == found.shape
    assert pytest.approx(value) == found.mean()


def test_a_level_is_its_own():
    found = row_metrics.row_values(Metric("elbo"), "level", TRUTH, NUMBERS, NUMBERS.mean())
    assert NUMBERS.tolist() == found.tolist()
    assert row_metrics.row_values(Metric("recognised"), "level", TRUTH, NUMBERS, NUMBERS.mean() + 1) is None


def test_a_name_that_means_something_else_is_not_taken():
    assert row_metrics.row_values(Metric("mae"), "numbers", NUMBERS, GUESSES, 0.5) is None
    assert row_metrics.row_values(Metric("accuracy"), "classes", TRUTH, PROBABILITIES, float("nan")) is None


@pytest.mark.parametrize("metric", [Metric("skill"), Metric("auc", "AUC", positive="a"), Metric("f", "F1Score")])
def test_what_is_no_mean_over_rows_has_none(metric):
    assert row_metrics.row_values(metric, "classes", TRUTH, PROBABILITIES, 0.5) is None
    assert row_metrics.row_values(metric, "", np.zeros(0), np.zeros(0), 0.5) is None
