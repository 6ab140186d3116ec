"""Gate: one verdict over TFMA's thresholds and ours, from the scores that lie on disk."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pipeline.recipe import CLASSIFICATION, Gate
from pipeline.runner import local
from pipeline.steps import gate
from pipeline.store import fileio
from pipeline.store.layout import Workspace

DATA = SimpleNamespace(label="label", classes=("a", "b"))
LATENCY = {"p50": 1.5, "p95": 9.0, "p99": 9.5, "calls": 10}
SCORES = {
    "classes": ["a", "b"],
    "metrics": {"accuracy": 0.85, "loss": 0.2},
    "baseline": None,
    "slices": [{"slice": "label=a", "examples": 50, "metrics": {"accuracy": 0.7}, "intervals": {}}],
    "confusion": [[4, 1], [0, 5]],
    "comparisons": {},
    "cost": {"weights": 9, "flops": 8, "size_mb": 2.5, "latency_ms": LATENCY, "difference": 0.0},
}
LIVE = {
    "baseline": {"accuracy": 0.9, "loss": 0.2},
    "comparisons": {
        "accuracy": {"worse": 0.05, "low": 0.04, "high": 0.06, "p": 0.001, "rows": 50, "test": "exact McNemar test"}
    },
    "calibration": {"error": 0.2, "bins": []},
}


def verdict(scores, refused=(), *, is_quick=False, **bounds):
    recipe = SimpleNamespace(data=DATA, gate=Gate(**bounds), metrics=CLASSIFICATION)
    return gate.decide(recipe, json.loads(json.dumps(scores)), refused, quick=is_quick)


def test_a_candidate_that_meets_all_conditions_is_blessed():
    found = verdict(SCORES, at_least={"accuracy": 0.8}, latency_ms=2.0, size_mb=3.0)
    assert (True, [], 20) == (found["blessed"], found["reasons"], found["min_slice_examples"])
    reached = {condition["name"]: condition["reached"] for condition in found["conditions"]}
    assert (1.5, 2.5, 0.0) == (reached["latency_ms"], reached["size_mb"], reached["same answers"])


def test_all_numbers_of_the_scores_reach_the_conditions():
    found = verdict({**SCORES, **LIVE}, no_worse={"accuracy": 0.01}, calibration=0.1, latency_ms=1.0, size_mb=2.0)
    assert not found["blessed"]
    assert ["no_worse", "calibration", "latency_ms", "size_mb"] == [
        condition["kind"] for condition in found["conditions"] if not condition["passed"]
    ]
    assert "exact McNemar test: hardly chance" in found["reasons"][0]


def test_calibration_without_probabilities_is_not_met():
    assert ["the calibration error could not be computed, at most 0.1 is required"] == (
        verdict(SCORES, calibration=0.1)["reasons"]
    )


BOUNDS = {"at_least": {"accuracy": 0.9}, "slices": {"label": {"accuracy": 0.8}}}


def test_a_bound_that_tfma_and_the_gate_find_missed_is_one_reason():
    scores = {**SCORES, "slices": [SCORES["slices"][0], {**SCORES["slices"][0], "slice": "label=b"}]}
    reasons = [
        "accuracy on the test split is 0.8500, at least 0.9 is required",
        "accuracy on slice label=a is 0.7000, at least 0.8 is required",
        "accuracy on slice label=b is 0.7000, at least 0.8 is required",
    ]
    refused = [("accuracy", ""), ("accuracy", "label=a"), ("accuracy", "label=b")]
    assert reasons == verdict(scores, refused, **BOUNDS)["reasons"] == verdict(scores, **BOUNDS)["reasons"]


def test_what_only_tfma_refuses_is_a_reason_of_the_same_verdict():
    found = verdict(SCORES, [("loss", "")], at_least={"accuracy": 0.8})
    assert (False, ["loss on the test split does not pass its threshold in TFMA's validation"]) == (
        found["blessed"],
        found["reasons"],
    )


@pytest.mark.parametrize("quick", [False, True])
def test_quick_bounds_replace_the_others(quick):
    assert quick == verdict(SCORES, is_quick=quick, at_least={"accuracy": 0.9}, quick={"accuracy": 0.8})["blessed"]


def test_the_evaluation_is_written_for_programs_and_for_people(tmp_path):
    outcome = verdict(SCORES, at_least={"accuracy": 0.9})
    folder = Workspace(tmp_path).run("plain-1")
    gate.write_evaluation(folder, {"recipe": "plain", "run_id": "plain-1", **SCORES, "gate": outcome})
    assert outcome == fileio.read_json(folder.evaluation)["gate"]
    assert folder.gate_page.read_text().startswith("# Not blessed: plain (plain-1)\n\n- accuracy on the test")


def test_no_verdict_comes_from_the_cache():
    assert "gate" in local.NEVER_CACHED
    assert "score" not in local.NEVER_CACHED
