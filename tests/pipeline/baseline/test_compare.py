"""The network next to the standard models: ahead, level or behind, on the same rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.baseline import compare, words
from pipeline.baseline.fit import Baseline, Baselines
from pipeline.evaluation.predictions import Predictions
from pipeline.recipe import Gate, Metric, Recipe

TRUTH = np.linspace(0, 10, 200)
NOISE = np.random.default_rng(1).normal(size=200)


def recipe(*metrics, **gate):
    data = SimpleNamespace(label="y", classes=())
    return Recipe(data=data, params=None, preprocess=None, build=None, metrics=metrics, gate=Gate(**gate))


MAE = Metric("mae", "MeanAbsoluteError", higher_is_better=False)
SKILL = Metric("skill")


def mae(answers):
    return float(np.abs(answers - TRUTH).mean())


def report(network, *others, note=""):
    found = [Baseline(f"model {place}", {"mae": mae(one)}, 0.5, one) for place, one in enumerate(others)]
    rows = Predictions("numbers", TRUTH, network)
    declared = recipe(MAE, at_most={"mae": 1.0})
    return compare.report_baselines(declared, Baselines(found, note), {"mae": mae(network)}, rows)


@pytest.mark.parametrize(
    ("network", "baseline", "verdict"),
    [(0.1, 1.0, compare.AHEAD), (1.0, 0.1, compare.BEHIND), (1.0, 1.0, compare.LEVEL), (1.0, -1.001, compare.LEVEL)],
)
def test_a_paired_test_on_the_same_rows_decides(network, baseline, verdict):
    found = report(TRUTH + network * NOISE, TRUTH + baseline * NOISE)
    assert (verdict, "mae", "model 0") == (found["verdict"], found["metric"], found["best"])


def test_one_row_more_of_many_is_not_ahead_nor_behind():
    """An exact test of few different rows has a p of 1 on one side, and of a half on the other."""
    truth = np.arange(80) % 2
    right = np.eye(2)[truth]
    wrong_in_one = np.where((np.arange(80) == 7)[:, None], 1 - right, right)
    data = SimpleNamespace(label="y", classes=("a", "b"))
    accuracy = Metric("accuracy", "SparseCategoricalAccuracy")
    declared = Recipe(data=data, params=None, preprocess=None, build=None, metrics=(accuracy,))
    for network, other in ((right, wrong_in_one), (wrong_in_one, right)):
        shares = [float((side.argmax(axis=1) == truth).mean()) for side in (network, other)]
        best = Baseline("logistic regression", {"accuracy": shares[1]}, 0.1, other)
        rows = Predictions("classes", truth, network)
        assert compare.LEVEL == compare.compare_baselines(declared, [best], {"accuracy": shares[0]}, rows).verdict


def test_the_best_baseline_comes_first_and_the_line_has_all():
    found = report(TRUTH + 0.1 * NOISE, TRUTH + NOISE, TRUTH + 0.5 * NOISE, note="fitted on 10 of 20 rows")
    assert ["model 1", "model 0"] == [entry["name"] for entry in found["models"]]
    first, second = (f"{entry['metrics']['mae']:.4f}" for entry in found["models"])
    expected = f"model 1 mae {first}, model 0 mae {second}; the network is ahead (fitted on 10 of 20 rows)"
    assert expected == found["words"]


@pytest.mark.parametrize(("network", "verdict"), [(0.5, compare.BEHIND), (0.897, compare.LEVEL), (0.95, compare.AHEAD)])
def test_without_values_by_row_a_clear_difference_decides(network, verdict):
    one = Baseline("naive", {"skill": 0.9}, 0.1, np.zeros(3))
    rows = Predictions("", np.zeros(0), np.zeros(0))
    assert verdict == compare.compare_baselines(recipe(SKILL), [one], {"skill": network}, rows).verdict


def test_without_a_common_metric_there_is_no_verdict():
    found = compare.report_baselines(
        recipe(SKILL), Baselines([], "none: why"), {"skill": 0.1}, Predictions("", np.zeros(0), np.zeros(0))
    )
    assert {"models": [], "note": "none: why", "words": ""} == found


@pytest.mark.parametrize(
    ("diagnosis", "quick", "advice"),
    [
        ("best epoch 3 of 3, val_loss 1; underfitting: …", False, "more epochs (--set epochs=…), keraspipe tune wine"),
        (
            "best epoch 3 of 9, val_loss 1; overfitting after epoch 3: …",
            False,
            "rows. Try more dropout or fewer units, ",
        ),
        (
            "best epoch 3 of 9, val_loss 1; no sign of under- or overfitting.",
            False,
            "rows. Try keraspipe tune wine, or",
        ),
        ("", False, "keraspipe tune wine, or serve the simpler model"),
        ("", True, "a full run: keraspipe run wine"),
    ],
)
def test_a_network_behind_is_warned_of_with_what_to_try(diagnosis, quick, advice):
    found = report(TRUTH + NOISE, TRUTH + 0.5 * NOISE)
    line = words.describe_behind(found, {"mae": mae(TRUTH + NOISE)}, "wine", diagnosis, quick=quick)
    assert line.startswith("Behind the baseline: model 0 has mae 0.")
    assert advice in line
    assert "" == words.describe_behind({**found, "verdict": "level"}, {"mae": 1.0}, "wine", "", quick=quick)
