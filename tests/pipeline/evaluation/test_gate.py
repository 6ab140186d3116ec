"""The gate: every condition in words and numbers, and that what cannot be computed is not met."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pipeline.evaluation import gate
from pipeline.evaluation.measurements import Measurements
from pipeline.evaluation.statistics import Comparison
from pipeline.recipe import CLASSIFICATION, Gate, Metric

DATA = SimpleNamespace(label="label", classes=("a", "b"))
GOOD = {"accuracy": 0.95, "loss": 0.2}
SLICES = [{"slice": f"label={name}", "examples": 50, "metrics": GOOD} for name in DATA.classes]


def recipe(data=DATA, metrics=CLASSIFICATION, **gate):
    return SimpleNamespace(data=data, gate=Gate(**gate), metrics=metrics)


def reasons(metrics=None, *, quick=False, of=None, **measured):
    measured = {"difference": 0.0, "slices": SLICES, **measured}
    found = Measurements(GOOD if metrics is None else metrics, **measured)
    return gate.failed_reasons(gate.check_conditions(of, found, quick=quick))


def compared(worse, p):
    return {"accuracy": Comparison(worse, worse - 0.01, worse + 0.01, p, 200, "exact McNemar test")}


def test_a_good_candidate_is_blessed():
    of = recipe(at_least={"accuracy": 0.9}, at_most={"loss": 0.5}, slices={"label": {"accuracy": 0.8}})
    assert [] == reasons(of=of)


BOUNDS = {
    "low": ({"accuracy": 0.85, "loss": 0.2}, "accuracy on the test split is 0.8500, at least 0.9 is required"),
    "high": ({"accuracy": 0.95, "loss": 0.75}, "loss on the test split is 0.7500, at most 0.5 is required"),
    "nan": (
        {"accuracy": float("nan"), "loss": 0.2},
        "accuracy on the test split could not be computed, at least 0.9 is required",
    ),
    "missing": ({"accuracy": 0.95}, "loss on the test split could not be computed, at most 0.5 is required"),
}


@pytest.mark.parametrize(("metrics", "expected"), BOUNDS.values(), ids=BOUNDS)
def test_bounds_over_the_test_split(metrics, expected):
    assert [expected] == reasons(metrics, of=recipe(at_least={"accuracy": 0.9}, at_most={"loss": 0.5}))


def test_a_declared_metric_must_be_a_number_even_without_a_bound():
    expected = "loss on the test split could not be computed, a number is required"
    assert [expected] == reasons({"accuracy": 0.95, "loss": float("nan")}, of=recipe(at_least={"accuracy": 0.9}))


def test_a_bound_on_a_metric_that_nobody_measures_is_not_met():
    expected = "acuracy on the test split could not be computed, at least 0.9 is required"
    assert [expected] == reasons(of=recipe(at_least={"acuracy": 0.9}))


def test_quick_has_bounds_of_its_own():
    of = recipe(
        at_least={"accuracy": 0.99},
        at_most={"loss": 0.0},
        slices={"label": {"accuracy": 0.99}},
        calibration=0.01,
        quick={"accuracy": 0.96},
    )
    assert ["accuracy on the test split is 0.9500, at least 0.96 is required"] == reasons(of=of, quick=True)


def test_a_quick_run_replaces_no_model_and_is_compared_with_none():
    assert [] == reasons(of=WORSE, quick=True, baseline=LIVE, comparisons=compared(0.04, 0.002))


def test_slices_have_floors():
    of = recipe(slices={"label": {"accuracy": 0.96}})
    worse = [{**SLICES[0]}, {**SLICES[1], "metrics": {"accuracy": 0.97}}]
    assert ["accuracy on slice label=a is 0.9500, at least 0.96 is required"] == reasons(of=of, slices=worse)


def test_a_small_slice_is_not_evaluated():
    few = [SLICES[0], {"slice": "label=b", "examples": 3, "metrics": {"accuracy": 0.0}}]
    assert [] == reasons(of=recipe(slices={"label": {"accuracy": 0.8}}), slices=few)


EMPTY = {
    "class": ([SLICES[0]], "label", ["slice label=b cannot be evaluated: no example"]),
    "all too small": (
        [{"slice": "sex=f", "examples": 3, "metrics": GOOD}],
        "sex",
        ["slice sex cannot be evaluated: no value with 20 examples, the most has 3"],
    ),
    "feature": ([], "sex", ["slice sex cannot be evaluated: no value with 20 examples, the most has 0"]),
    "metric": (
        [{**part, "metrics": {"loss": 0.1}} for part in SLICES],
        "label",
        [f"accuracy on slice label={name} could not be computed, at least 0.8 is required" for name in "ab"],
    ),
}


@pytest.mark.parametrize(("slices", "feature", "expected"), EMPTY.values(), ids=EMPTY)
def test_a_floor_without_examples_is_not_met(slices, feature, expected):
    assert expected == reasons(of=recipe(slices={feature: {"accuracy": 0.8}}), slices=slices)


WORSE = recipe(no_worse={"accuracy": 0.01})
LIVE = {"accuracy": 0.99, "loss": 0.1}


def test_worse_beyond_tolerance_and_chance_is_refused():
    (found,) = reasons(of=WORSE, baseline=LIVE, comparisons=compared(0.04, 0.002))
    assert "accuracy on the test split is 0.9500, the live model has 0.9900; at most 0.01 worse is allowed" in found
    assert "worse by 0.0400 (95 %: 0.0300 to 0.0500), p = 0.002 on 200 examples, exact McNemar test" in found
    assert found.endswith("hardly chance")


def test_worse_by_chance_passes_and_says_so():
    found = Measurements(GOOD, LIVE, difference=0.0, comparisons=compared(0.04, 0.2))
    (condition,) = [one for one in gate.check_conditions(WORSE, found, quick=False) if one.kind == "no_worse"]
    assert (True, pytest.approx(-0.03)) == (condition.passed, condition.margin)
    assert condition.words.endswith("it may be chance, p is above 0.05")


def test_significance_is_the_recipes():
    of = recipe(no_worse={"accuracy": 0.01}, significance=0.3)
    assert 1 == len(reasons(of=of, baseline=LIVE, comparisons=compared(0.04, 0.2)))


def test_worse_within_the_tolerance_passes_however_sure_it_is():
    live = {"accuracy": 0.96, "loss": 0.1}
    assert [] == reasons(of=WORSE, baseline=live, comparisons=compared(0.01, 1e-9))


def test_without_values_by_row_the_difference_alone_decides():
    (found,) = reasons(of=WORSE, baseline=LIVE)
    assert found.endswith("it has no values by row, so the difference alone decides")
    assert [] == reasons(of=recipe(no_worse={"loss": 0.5}), baseline=LIVE)


@pytest.mark.parametrize("live", [{"loss": 0.1}, {"accuracy": float("nan"), "loss": 0.1}])
def test_a_live_model_without_the_number_cannot_be_compared(live):
    expected = (
        "accuracy on the test split is 0.9500, the live model's could not be computed; at most 0.01 worse is allowed"
    )
    assert [expected] == reasons(of=WORSE, baseline=live, comparisons=compared(0.0, 1.0))


def test_without_a_live_model_there_is_nothing_to_be_worse_than():
    assert [] == reasons(of=WORSE)


BUDGETS = {
    "calibration": ({"calibration": 0.1}, {"calibration": 0.2}, "the calibration error is 0.2000, at most 0.1"),
    "no probabilities": ({"calibration": 0.1}, {}, "the calibration error could not be computed, at most 0.1"),
    "latency": ({"latency_ms": 5.0}, {"latency_ms": 6.0}, "the median latency of one row in ms is 6.0000, at most 5"),
    "size": ({"size_mb": 1.0}, {"size_mb": 1.5}, "the size of the SavedModel in MB is 1.5000, at most 1"),
    "answers": ({}, {"difference": 0.002}, "the difference between served and in-memory answers is 0.002, at most"),
}


@pytest.mark.parametrize(("gate", "measured", "expected"), BUDGETS.values(), ids=BUDGETS)
def test_budgets(gate, measured, expected):
    (found,) = reasons(of=recipe(**gate), **measured)
    assert found.startswith(expected)


def test_what_tfma_alone_refuses_is_said():
    expected = "loss on the test split does not pass its threshold in TFMA's validation"
    assert [expected] == reasons(of=recipe(), refused=[("loss", ""), ("loss", "")])
    assert [] == reasons(of=recipe(), refused=[("loss", "label=c")])  # too small to be counted


def test_what_tfma_refuses_too_is_said_once():
    of = recipe(at_least={"accuracy": 0.99})
    assert 1 == len(reasons(of=of, refused=[("accuracy", "")]))


def test_metrics_of_the_recipe_itself_are_evaluated_alike():
    of = recipe(metrics=(*CLASSIFICATION, Metric("skill")), at_least={"skill": 0.1}, no_worse={"skill": 0.01})
    (found,) = reasons({**GOOD, "skill": 0.2}, of=of, baseline={**LIVE, "skill": 0.3})
    assert "skill on the test split is 0.2000, the live model has 0.3000; at most 0.01 worse is allowed" in found


def test_conditions_are_json_without_nan():
    found = gate.check_conditions(recipe(calibration=0.1), Measurements(GOOD), quick=False)
    checks = json.loads(json.dumps([one.as_json() for one in found], allow_nan=False))
    assert {"kind", "name", "where", "asked", "reached", "margin", "passed", "words"} == checks[0].keys()
    assert [None, None] == [one["reached"] for one in checks if not one["passed"]]
