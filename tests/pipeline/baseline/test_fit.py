"""Standard models of every kind of data: what they reach, whatever the unit, the gaps and the rare values."""

from __future__ import annotations

import io
import wave
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.baseline import fit, models, series
from pipeline.baseline.rows import Splits
from pipeline.features.image import encode_png
from pipeline.recipe import CLASSIFICATION, Metric, Recipe

ROWS = 300
MAE = Metric("mae", "MeanAbsoluteError", higher_is_better=False)
R2 = Metric("r2", "R2")


def recipe(inputs, *, classes=(), metrics=(MAE, R2), **more):
    data = SimpleNamespace(inputs=inputs, label="y", classes=classes, **more.pop("data", {}))
    return Recipe(data=data, params=None, preprocess=None, build=None, metrics=metrics, **more)


def baselines(declared, columns):
    """The first two thirds of the rows are for training."""
    border = 2 * len(columns["y"]) // 3
    train, test = ({k: v[part] for k, v in columns.items()} for part in (slice(border), slice(border, None)))
    return fit.fit_baselines(declared, Splits(train, test, border))


def metric(found, model, name):
    return next(entry.metrics[name] for entry in found.models if entry.name == model)


def floats(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_linear_target_is_learnt_whatever_its_unit(unit):
    a, b = floats(1, ROWS), floats(2, ROWS)
    found = baselines(recipe({"a": "float", "b": "float"}), {"a": a, "b": b, "y": unit * (3 * a - b + 7)})
    assert metric(found, models.LINEAR, "r2") > 0.99
    assert metric(found, models.TREES, "r2") > 0.8
    assert metric(found, models.LINEAR, "mae") < 0.1 * unit


def test_trees_learn_what_no_line_can_and_a_missing_number_is_a_value():
    a, b = floats(1, ROWS), floats(2, ROWS)
    y = np.where(a * b > 0, b"yes", b"no").astype(object)
    a[::50] = np.nan
    found = baselines(recipe({"a": "float", "b": "float"}, classes=("no", "yes"), metrics=CLASSIFICATION), locals())
    assert metric(found, models.TREES, "accuracy") > 0.85
    assert metric(found, models.LOGISTIC, "accuracy") < 0.7


def test_categories_dates_and_columns_without_any_value_are_read():
    codes = np.random.default_rng(3).integers(0, 4, ROWS)
    columns = {
        "kind": np.array([b"red", b"green", b"blue", b"never"], object)[codes % 3],
        "day": np.array([b"2024-01-31", b"2024-06-30 12:00", b"", b"2025-01-01"], object)[codes],
        "empty": np.full(ROWS, np.nan, np.float32),
        "y": (codes % 3 + 10.0 * (codes == 3)).astype(np.float32),
    }
    columns["kind"][-1] = b"unknown"
    found = baselines(recipe({"kind": "bytes", "day": "bytes", "empty": "float"}), columns)
    assert metric(found, models.TREES, "r2") > 0.9


def test_words_of_a_text_decide():
    sides = np.random.default_rng(4).integers(0, 2, ROWS)
    words = np.array([[b"good", b"fine", b"lovely"], [b"bad", b"awful", b"sad"]])
    rows = np.random.default_rng(5)
    texts = [b" ".join([b"film %d" % number, *rows.choice(words[side], 3)]) for number, side in enumerate(sides)]
    columns = {"text": np.array(texts, object), "y": np.array([b"+", b"-"], object)[sides]}
    found = baselines(recipe({"text": "bytes"}, classes=("+", "-"), metrics=CLASSIFICATION), columns)
    assert [models.LOGISTIC] == [entry.name for entry in found.models]
    assert metric(found, models.LOGISTIC, "accuracy") > 0.95


def test_images_are_distinguished_by_their_pixels_and_a_broken_one_ends_nothing():
    sides = np.random.default_rng(6).integers(0, 2, ROWS)
    images = [encode_png(np.pad(np.full((20, 15), 200, np.uint8), ((0, 0), (15 * s, 15 - 15 * s)))) for s in sides]
    images[0] = images[0][:30]
    columns = {"image_bytes": np.array(images, object), "y": np.array([b"left", b"right"], object)[sides]}
    found = baselines(recipe({"image_bytes": "bytes"}, classes=("left", "right"), metrics=CLASSIFICATION), columns)
    assert {models.LOGISTIC: 1.0} == {entry.name: entry.metrics["accuracy"] for entry in found.models}


def tone(high):
    with io.BytesIO() as buffer:
        with wave.open(buffer, "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((9000 * np.sin(np.arange(4000) * (0.9 if high else 0.2))).astype("<i2").tobytes())
        return buffer.getvalue()


def test_recordings_are_distinguished_by_their_frequencies():
    sides = np.random.default_rng(7).integers(0, 2, 60)
    columns = {
        "audio": np.array([tone(side) for side in sides], object),
        "y": np.array([b"low", b"high"], object)[sides],
    }
    found = baselines(recipe({"audio": "bytes"}, classes=("low", "high"), metrics=CLASSIFICATION), columns)
    assert {models.LOGISTIC: 1.0} == {entry.name: entry.metrics["accuracy"] for entry in found.models}


def windows(values, length, horizon):
    starts = np.arange(len(values) - length - horizon)
    cut = lambda first, count: values[starts[:, None] + np.arange(first, first + count)]  # noqa: E731
    return {"past": cut(0, length).astype(np.float32), "y": cut(length, horizon).astype(np.float32)}


SERIES = {"target": "sales", "numbers": {"past": "sales"}}


def test_a_series_has_its_season_and_an_autoregression():
    values = 50 + 10 * np.sin(np.arange(400) * 2 * np.pi / 7) + floats(8, 400)
    columns = windows(values, 21, 7)
    columns["past"][5, 3:6] = np.nan
    found = baselines(
        recipe({"past": "float[21]"}, metrics=(Metric("mae", higher_is_better=False),), data=SERIES), columns
    )
    names = [entry.name for entry in found.models]
    assert names[0] in [series.SEASONAL.format(season) for season in (7, 14, 21)]
    assert metric(found, series.LINEAR, "mae") < metric(found, names[0], "mae") < 2.0


def test_the_metrics_of_the_recipes_own_score_are_measured_too():
    def score(served, examples, others):
        forecast = served.predict("serving_default", {"past": examples.test["past"]})["forecast"]
        return {"mae": 1.0, "skill": float(np.abs(forecast - examples.test["y"]).mean())}

    own = (Metric("mae", higher_is_better=False), Metric("skill"))
    declared = recipe({"past": "float[14]"}, metrics=own, data=SERIES, score=score)
    found = baselines(declared, windows(np.arange(100) % 7, 14, 7))
    assert {"mae": 1.0, "skill": 0.0} == found.models[0].metrics


def test_a_rare_class_counts_where_the_recipe_measures_the_mean_recall():
    a, noise = floats(9, 3000), floats(10, 3000)
    y = np.array([b"often", b"rare", b"other"], object)[np.where(a + noise > 2.5, 1, np.where(a < -1, 2, 0))]
    counted = (Metric("accuracy", "SparseCategoricalAccuracy"), Metric("balanced_accuracy"))
    columns = {"a": a, "y": y}
    one = baselines(recipe({"a": "float"}, classes=("often", "rare", "other"), metrics=counted), columns)
    two = baselines(recipe({"a": "float"}, classes=("often", "rare", "other"), metrics=counted[:1]), columns)
    assert metric(one, models.LOGISTIC, "balanced_accuracy") > 0.6
    assert metric(two, models.LOGISTIC, "accuracy") > metric(one, models.LOGISTIC, "accuracy")


def test_a_class_that_the_training_rows_lack_has_probability_zero():
    y = np.array([b"a", b"b"] * 10 + [b"c"] * 10, object)
    found = baselines(
        recipe({"x": "float"}, classes=("a", "b", "c"), metrics=CLASSIFICATION), {"x": floats(1, 30), "y": y}
    )
    assert all(0.0 == entry.metrics["accuracy"] and not entry.answers[:, 2].any() for entry in found.models)


def test_infinite_and_huge_numbers_are_survived():
    x = floats(11, ROWS)
    columns = {"x": x.copy(), "y": 2 * x}
    columns["x"][:3] = np.inf, -np.inf, 1e30
    assert metric(baselines(recipe({"x": "float"}), columns), models.TREES, "r2") > 0.9


@pytest.mark.parametrize(("predicted", "is_one"), [("", True), ("forecast", True), ("score", False), ("elbo", False)])
def test_only_a_network_that_answers_its_label_has_a_baseline(predicted, is_one):
    assert is_one == fit.is_supervised(recipe({"x": "float"}, predicted=predicted))
