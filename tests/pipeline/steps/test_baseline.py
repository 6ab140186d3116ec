"""The step `baseline`: rows from TFRecords, results on disk, and no run that ends because of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from pipeline.baseline import rows
from pipeline.baseline.fit import Baseline, Baselines
from pipeline.recipe import CLASSIFICATION, Recipe
from pipeline.steps import baseline, ingest

DATA = SimpleNamespace(inputs={"x": "float", "v": "float[2]"}, label="y", classes=("a", "b"))


def write(folder, count):
    features = [{"x": float(n), "v": [n, -n], "y": b"a" if n % 2 else b"b", "more": n} for n in range(count)]
    del features[1]["x"]
    ingest.write_splits(
        [ingest.Row(split, n, row) for split in ingest.SPLITS for n, row in enumerate(features)], folder
    )


def declared(**more):
    return Recipe(data=DATA, params=None, preprocess=None, build=None, metrics=CLASSIFICATION, **more)


def test_rows_are_read_as_columns_with_the_features_that_are_no_inputs(tmp_path):
    write(tmp_path, 4)
    found = rows.read_columns(tmp_path / "Split-test", DATA.inputs)
    np.testing.assert_array_equal(found["x"], np.float32([0, np.nan, 2, 3]))
    np.testing.assert_array_equal(found["v"], np.float32([[0, 0], [1, -1], [2, -2], [3, -3]]))
    assert ([b"b", b"a", b"b", b"a"], [0, 1, 2, 3]) == (found["y"].tolist(), found["more"].tolist())


def test_a_large_training_split_is_sampled_evenly_and_the_test_split_never(tmp_path, monkeypatch):
    write(tmp_path, 2500)
    monkeypatch.setattr(rows, "TRAIN_ROWS", 1000)
    found = rows.read_splits(tmp_path, DATA.inputs)
    assert (2500, 834, 2500) == (found.rows, found.fitted_rows, len(found.test["x"]))
    assert list(range(0, 2500, 3)) == found.train["more"].tolist()


def test_results_are_read_back_as_they_were_written(tmp_path):
    models = [Baseline("one", {"loss": 0.5}, 1.5, np.eye(2)), Baseline("two", {}, 0.1, np.zeros(3))]
    baseline.save_baselines(Baselines(models, "note"), tmp_path)
    found = baseline.load_baselines(tmp_path)
    assert ("note", ["one", "two"], [1.5, 0.1]) == (
        found.note,
        [model.name for model in found.models],
        [model.seconds for model in found.models],
    )
    np.testing.assert_array_equal(np.eye(2), found.models[0].answers)


def test_a_baseline_that_fails_is_said_and_ends_nothing(tmp_path):
    write(tmp_path, 4)
    (tmp_path / "Split-test" / "examples.tfrecord").write_bytes(b"no record")
    found = baseline.fit_recipe(declared(), tmp_path)
    assert [] == found.models
    assert found.note.startswith("none: it failed")


def test_a_recipe_without_a_label_to_answer_has_none():
    assert "none: the network does not predict the label" == baseline.fit_recipe(declared(predicted="elbo"), None).note


def test_the_rows_of_a_run_are_fitted(tmp_path):
    write(tmp_path, 60)
    found = baseline.fit_recipe(declared(), tmp_path)
    assert ["logistic regression", "gradient boosting"] == [model.name for model in found.models]
    assert all(model.metrics.keys() == {"accuracy", "loss"} for model in found.models)
