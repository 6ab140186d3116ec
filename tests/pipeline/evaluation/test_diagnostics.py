"""Curves, residuals and forecasts: small, and still what they were before they were thinned."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.dates import ConciseDateFormatter
from sklearn.metrics import auc, mean_absolute_error, roc_auc_score

from pipeline.evaluation import diagnostics
from pipeline.plots.examples import forecast
from pipeline.steps import ingest
from pipeline.tables.calendar import BusinessDays


def test_thinned_curve_has_the_same_area():
    random = np.random.default_rng(1)
    positive = random.random(20_000) < 0.3
    score = random.normal(positive.astype(float), 1.0)
    (found,) = diagnostics.describe_curves({"a": positive}, {"a": score})
    assert pytest.approx(roc_auc_score(positive, score)) == found["area"]
    assert pytest.approx(found["area"], abs=2e-3) == auc(*found["roc"])
    assert pytest.approx(found["average_precision"], abs=2e-2) == auc(*found["precision_recall"])
    assert max(len(found["roc"][0]), len(found["precision_recall"][0])) <= diagnostics.CURVE_POINTS
    assert len(json.dumps(found)) < 6000


@given(st.lists(st.floats(0, 1), min_size=1, max_size=400), st.integers(0, 2**31))
def test_thinning_keeps_both_ends_and_the_order(values, seed):
    x, y = np.sort(values), np.sort(np.random.default_rng(seed).random(len(values)))
    found = np.array(diagnostics.thin_curve(x, y))
    assert len(found[0]) <= diagnostics.CURVE_POINTS
    np.testing.assert_allclose([x[0], y[0], x[-1], y[-1]], [*found[:, 0], *found[:, -1]], atol=1e-5)
    assert (np.diff(found) >= 0).all()


def test_the_worst_classes_come_first_and_empty_ones_not_at_all():
    random = np.random.default_rng(2)
    truth = random.integers(0, 8, 400)
    score = {str(k): random.normal((truth == k) * k, 1.0) for k in range(8)}
    positive = {str(k): truth == k for k in range(8)} | {"9": truth == 9}
    found = diagnostics.describe_curves(positive, {**score, "9": score["1"]})
    assert diagnostics.MAX_CURVES == len(found)
    assert "0" == found[0]["name"]
    assert sorted(one["area"] for one in found) == [one["area"] for one in found]


def test_residuals_in_numbers():
    random = np.random.default_rng(3)
    truth = random.normal(0, 1, 5000)
    answers = truth + random.normal(0.5, 0.2, 5000)
    found = diagnostics.describe_residuals(truth, answers)
    assert pytest.approx(0.5, abs=0.01) == found["bias"]
    assert pytest.approx(0.2, abs=0.01) == found["deviation"]
    assert 5000 == sum(found["histogram"]["counts"])
    assert diagnostics.SCATTER_POINTS == len(found["truth"]) == len(found["predicted"])


def test_forecasts_by_step_and_windows_from_good_to_bad():
    random = np.random.default_rng(4)
    truth = random.normal(0, 1, (300, 6))
    answers = truth + random.normal(0, np.arange(1, 7), (300, 6))
    found = diagnostics.describe_forecast(truth, answers, truth)
    for step in range(6):
        assert pytest.approx(mean_absolute_error(truth[:, step], answers[:, step]), abs=1e-6) == found["error"][step]
    assert [0.0] * 6 == found["live_error"]
    errors = [window["error"] for window in found["windows"]]
    assert sorted(errors) == errors
    assert pytest.approx(np.abs(truth - answers).mean(axis=1).max()) == errors[-1]


@pytest.mark.parametrize(
    ("step", "first"), [(timedelta(hours=1), "2024-03-08T19:00:00"), (BusinessDays(), "2024-03-05")]
)
def test_a_forecast_has_its_times_its_past_and_the_naive_line(tmp_path, step, first):
    features = {"history": (1.0, 2.0, float("nan")), "y": (4.0, 5.0)}
    end = "2024-03-08T23:00:00" if isinstance(step, timedelta) else "2024-03-11"
    ingest.write_splits([ingest.Row("test", 0.1, features, end)], tmp_path)
    data = SimpleNamespace(numbers={"history": "y"}, target="y", step=step)
    truth = np.array([features["y"]])
    found = diagnostics.describe_forecast(truth, truth, None)
    for add in (diagnostics._add_past, diagnostics._add_times):
        add(found, SimpleNamespace(data=data), tmp_path / "Split-test")
    window = found["windows"][0]
    assert ([1.0, 2.0, None], [2.0, 2.0]) == (window["past"], window["naive"])
    times = [datetime.fromisoformat(time) for time in window["times"]]
    assert (datetime.fromisoformat(first), datetime.fromisoformat(end), 5) == (times[0], times[-1], len(times))
    assert sorted(times) == times
    figure = forecast(found)
    labels = [line.get_label() for line in figure.axes[1].get_lines()][:4]
    assert ["past", "truth", "forecast", "naive: last value"] == labels
    assert isinstance(figure.axes[1].xaxis.get_major_formatter(), ConciseDateFormatter)
