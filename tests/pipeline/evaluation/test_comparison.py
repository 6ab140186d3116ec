"""Evidence: which metrics have intervals and tests, overall, in slices, and against the live model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import comparison, statistics
from pipeline.evaluation.predictions import Predictions
from pipeline.recipe import CLASSIFICATION, Hash, Metric, Time

RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.integers(0, 2, 400)
GOOD = np.clip(0.5 + 0.4 * (2 * TRUTH - 1) + RANDOM.normal(0, 0.3, 400), 0.01, 0.99)
BAD = np.clip(0.5 + 0.1 * (2 * TRUTH - 1) + RANDOM.normal(0, 0.3, 400), 0.01, 0.99)
METRICS = (*CLASSIFICATION, Metric("auc", "AUC", positive="b"), Metric("skill"))


def both(confidence):
    return np.stack([1 - confidence, confidence], axis=1)


def measured(confidence):
    chosen = np.where(TRUTH == 1, confidence, 1 - confidence)
    return {
        "accuracy": float((chosen > 0.5).mean()),
        "loss": float(-np.log(chosen).mean()),
        "auc": float(roc_auc_score(TRUTH, confidence)) + 1e-4,  # TFMA's is an approximation
        "skill": 0.7,
    }


@pytest.fixture
def recipe():
    return SimpleNamespace(metrics=METRICS, split=Hash(), data=SimpleNamespace(label="y", classes=("a", "b")))


@pytest.fixture
def found():
    slices = {"sex": np.where(np.arange(400) < 100, "f", "m"), "y": np.where(TRUTH == 1, "b", "a")}
    return Predictions("classes", TRUTH, both(BAD), both(GOOD), slices)


def test_a_worse_candidate_is_found_by_every_metric_that_has_rows(recipe, found):
    comparisons = comparison.compare_models(recipe, found, measured(BAD), measured(GOOD))
    assert {"accuracy", "loss", "auc"} == comparisons.keys()
    for name, one in comparisons.items():
        assert one.p < 1e-3, name
        assert one.low < one.worse < one.high
        assert pytest.approx(abs(measured(GOOD)[name] - measured(BAD)[name]), abs=1e-3) == one.worse


def test_the_other_way_round_nothing_is_worse(recipe, found):
    swapped = Predictions("classes", TRUTH, found.live, found.candidate)
    comparisons = comparison.compare_models(recipe, swapped, measured(GOOD), measured(BAD))
    assert all(one.p > 0.99 and one.worse < 0 for one in comparisons.values())


def test_equal_models_are_equal(recipe):
    same = Predictions("classes", TRUTH, both(GOOD), both(GOOD))
    comparisons = comparison.compare_models(recipe, same, measured(GOOD), measured(GOOD))
    assert {(0.0, 1.0)} == {(one.worse, one.p) for one in comparisons.values()}


def test_rows_in_the_order_of_time_are_compared_in_stretches(recipe, found):
    recipe.split = Time("2020-01-01", "2021-01-01")
    comparisons = comparison.compare_models(recipe, found, measured(BAD), measured(GOOD))
    assert comparisons["accuracy"].test.endswith("over 20 stretches of time")


def test_intervals_of_rows_in_the_order_of_time_are_those_of_stretches(recipe):
    """Rows that repeat each other: twenty different ones, each twenty times."""
    truth = np.repeat(TRUTH[:20], 20)
    confidence = np.repeat(BAD[:20], 20)
    found = Predictions("classes", truth, both(confidence))
    numbers = {"loss": float(-np.log(np.where(truth == 1, confidence, 1 - confidence)).mean())}
    low, high = comparison.overall_intervals(recipe, found, numbers)["loss"]
    recipe.split = Time("2020-01-01", "2021-01-01")
    lower, higher = comparison.overall_intervals(recipe, found, numbers)["loss"]
    assert higher - lower > 3 * (high - low)


def test_without_a_live_model_there_is_no_comparison(recipe, found):
    assert {} == comparison.compare_models(recipe, found, measured(BAD), None)
    alone = Predictions("classes", TRUTH, both(BAD))
    assert {} == comparison.compare_models(recipe, alone, measured(BAD), measured(GOOD))


def test_a_metric_that_means_something_else_is_not_compared(recipe, found):
    comparisons = comparison.compare_models(recipe, found, {**measured(BAD), "accuracy": 0.1}, measured(GOOD))
    assert {"loss", "auc"} == comparisons.keys()


def test_intervals_over_the_whole_split(recipe, found):
    numbers = measured(BAD)
    comparisons = comparison.overall_intervals(recipe, found, numbers)
    assert {"accuracy", "loss", "auc"} == comparisons.keys()
    assert list(statistics.share_interval(round(400 * numbers["accuracy"]), 400)) == pytest.approx(
        comparisons["accuracy"]
    )
    assert all(low < numbers[name] < high for name, (low, high) in comparisons.items())


def test_intervals_of_slices_are_wider(recipe, found):
    numbers = measured(BAD)
    part = {"slice": "sex=f", "examples": 100, "metrics": {"accuracy": 0.6, "auc": 0.6}}
    (comparisons,) = comparison.add_slice_intervals(recipe, found, numbers, [part])
    low, high = comparisons["intervals"]["accuracy"]
    rows = found.candidate[:100].argmax(axis=1) == TRUTH[:100]
    assert pytest.approx(statistics.share_interval(rows.sum(), 100)) == (low, high)
    whole = comparison.overall_intervals(recipe, found, numbers)["accuracy"]
    assert high - low > whole[1] - whole[0]
    assert {"accuracy", "auc"} == comparisons["intervals"].keys()


@pytest.mark.parametrize("part", ["sex=x", "age=3", "sex=f, y=a"])
def test_slices_of_unknown_rows_have_no_intervals(recipe, found, part):
    entry = {"slice": part, "examples": 5, "metrics": {"accuracy": 0.6}}
    assert [{**entry, "intervals": {}}] == comparison.add_slice_intervals(recipe, found, measured(BAD), [entry])


def test_an_area_over_one_class_has_no_interval(recipe, found):
    part = {"slice": "y=a", "examples": int((TRUTH == 0).sum()), "metrics": {"auc": 0.0}}
    assert {} == comparison.add_slice_intervals(recipe, found, measured(BAD), [part])[0]["intervals"]


def test_nothing_to_compare_row_by_row(recipe):
    empty = Predictions("", np.zeros(0), np.zeros(0), None, {})
    assert ({}, {}) == (
        comparison.overall_intervals(recipe, empty, measured(BAD)),
        comparison.compare_models(recipe, empty, measured(BAD), measured(GOOD)),
    )
