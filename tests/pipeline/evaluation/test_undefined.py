"""Metrics that some rows do not define."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.evaluation.gate_report import render_markdown
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.undefined import drop_undefined, drop_undefined_in_slices
from pipeline.recipe import Metric

AUC = Metric("auc", "AUC", positive="yes")
ACCURACY = Metric("accuracy", "SparseCategoricalAccuracy")
ANSWERS = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])


def recipe(*metrics: Metric, classes: tuple[str, ...] = ("no", "yes")):
    return SimpleNamespace(metrics=metrics, data=SimpleNamespace(classes=classes))


def predictions(*truth: int, **slices: list[str]) -> Predictions:
    parts = {name: np.array(values) for name, values in slices.items()}
    return Predictions("classes", np.array(truth), ANSWERS[: len(truth)], None, parts)


@pytest.mark.parametrize(("truth", "auc"), [((0, 1, 1, 0), 0.0), ((1, 1, 1), None), ((0, 0), None), ((), None)])
def test_the_auc_of_one_class_is_not_defined(truth, auc):
    measured = drop_undefined(recipe(ACCURACY, AUC), predictions(*truth), {"accuracy": 0.0, "auc": 0.0})
    assert {"accuracy": 0.0, "auc": auc} == measured


def test_a_slice_of_one_class_has_no_auc():
    rows = predictions(0, 1, 1, 0, region=["isle", "north", "north", "north"])
    slices = [
        {"slice": "region=isle", "examples": 1, "metrics": {"accuracy": 1.0, "auc": 0.0}},
        {"slice": "region=north", "examples": 3, "metrics": {"accuracy": 1.0, "auc": 1.0}},
        {"slice": "other=1", "examples": 3, "metrics": {"auc": float("nan")}},
    ]
    assert [{"accuracy": 1.0, "auc": None}, {"accuracy": 1.0, "auc": 1.0}, {"auc": None}] == [
        part["metrics"] for part in drop_undefined_in_slices(recipe(ACCURACY, AUC), rows, slices)
    ]


@pytest.mark.parametrize(("truth", "r2"), [([1.0, 2.0], 0.0), ([1.0], None), ([3.0, 3.0], None), ([], None)])
def test_the_share_of_variance_needs_variance(truth, r2):
    numbers = recipe(Metric("r2"), Metric("mae", "MeanAbsoluteError"), classes=())
    rows = Predictions("numbers", np.array(truth), np.array(truth))
    assert {"r2": r2, "mae": 0.0} == drop_undefined(numbers, rows, {"r2": 0.0, "mae": 0.0})


@pytest.mark.parametrize(("truth", "recall"), [((0, 1), 0.0), ((1, 1), 0.0), ((0, 0), None)])
def test_the_share_of_a_class_needs_a_row_of_it(truth, recall):
    shares = recipe(Metric("recall", "Recall", positive="yes"))
    assert {"recall": recall} == drop_undefined(shares, predictions(*truth), {"recall": 0.0})


def test_a_score_against_zero_and_one_needs_both():
    flags = recipe(Metric("auc", "AUC"), classes=())
    rows = Predictions("score", np.array([1, 1]), np.array([0.3, 0.4]))
    assert {"auc": None} == drop_undefined(flags, rows, {"auc": 0.0})


def test_the_page_of_the_gate_has_a_dash_and_sorts_it_last():
    slices = [
        {"slice": "region=isle", "examples": 1, "metrics": {"auc": None}},
        {"slice": "region=east", "examples": 9, "metrics": {"auc": 0.9}},
        {"slice": "region=north", "examples": 3, "metrics": {"auc": 0.7}},
    ]
    gate = {"blessed": True, "reasons": [], "conditions": []}
    page = render_markdown({"recipe": "r", "run_id": "r-1", "gate": gate, "metrics": {"auc": None}, "slices": slices})
    rows = [line for line in page.splitlines() if line.startswith("| region")]
    assert ["| region=north | 3 | 0.7000 |", "| region=east | 9 | 0.9000 |", "| region=isle | 1 | - |"] == rows
    assert "| auc | - | - |" in page
