"""Predictions: which kind they are, that they survive the disk, and how they are asked for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.evaluation import diagnostics, examples, predictions
from pipeline.evaluation.predictions import Predictions
from pipeline.recipe import Gate
from pipeline.steps import ingest

KINDS = {
    "classes": (np.array([0, 1]), np.zeros((2, 3)), 3, False, "classes"),
    "a level of labelled rows": (np.array([0, 1]), np.zeros(2), 3, True, "level"),
    "something else": (np.array([0, 1]), np.zeros((2, 7)), 3, False, ""),
    "numbers": (np.array([0.5, 1.0]), np.zeros(2), 0, False, "numbers"),
    "windows": (np.zeros((2, 24)), np.zeros((2, 24)), 0, False, "numbers"),
    "a score": (np.array([0, 1]), np.array([0.3, 7.0]), 0, True, "score"),
    "numbers that happen to be 0 and 1": (np.array([0.0, 1.0]), np.zeros(2), 0, False, "numbers"),
}


@pytest.mark.parametrize(("truth", "answers", "classes", "named", "expected"), KINDS.values(), ids=KINDS)
def test_kinds(truth, answers, classes, named, expected):
    assert expected == predictions.answer_kind(truth, answers, classes, named=named)


@pytest.mark.parametrize("live", [None, np.array([[0.5, 0.5]])])
def test_saved_and_loaded_they_are_the_same(tmp_path, live):
    before = Predictions("classes", np.array([1]), np.array([[0.1, 0.9]]), live, {"a b": np.array(["ä"])})
    before.save(tmp_path / predictions.PREDICTIONS_FILE)
    after = predictions.load_predictions(tmp_path / predictions.PREDICTIONS_FILE)
    assert ("classes", [1], [[0.1, 0.9]]) == (after.kind, after.truth.tolist(), after.candidate.tolist())
    assert (live is None) == (after.live is None)
    assert {"a b": ["ä"]} == {name: values.tolist() for name, values in after.slices.items()}
    assert [predictions.PREDICTIONS_FILE] == [path.name for path in tmp_path.iterdir()]


class Model:
    """Answers the length of each serialized example, as two outputs."""

    def __init__(self, *names):
        info = SimpleNamespace(dtype=SimpleNamespace(name="float"))
        self.signatures = {"serving_examples": SimpleNamespace(outputs=dict.fromkeys(names, info))}
        self.asked = []

    def predict(self, signature, inputs):
        self.asked.append((signature, len(inputs["examples"])))
        rows = np.array([len(record) for record in inputs["examples"]], np.float32)
        return {"probabilities": np.stack([rows, -rows], axis=1), "other": rows}


@pytest.fixture
def recipe():
    data = SimpleNamespace(label="y", classes=("no", "yes"), inputs={"x": "float"})
    return SimpleNamespace(data=data, gate=Gate(slices={"sex": {"accuracy": 0.5}}), predicted="")


@pytest.fixture
def split(tmp_path):
    """600 rows of a test split, more than two batches."""
    rows = [
        ingest.Row("test", 0.1, {"x": float(n), "y": (b"no", b"yes")[n % 2], "sex": (b"f", b"m", b"")[n % 3]})
        for n in range(600)
    ]
    ingest.write_splits(rows, tmp_path)
    return tmp_path / "Split-test"


def test_every_row_is_asked_about_once_a_batch_at_a_time(recipe, split):
    model = Model("probabilities")
    found = predictions.collect_predictions(recipe, split, model, None)
    assert [("serving_examples", rows) for rows in (256, 256, 88)] == model.asked
    assert ("classes", (600, 2), None) == (found.kind, found.candidate.shape, found.live)
    assert [0, 1, 0, 1] == found.truth[:4].tolist()
    assert ["f", "m", "", "f"] == found.slices["sex"][:4].tolist()
    assert ["no", "yes"] == found.slices["y"][:2].tolist()


def test_a_live_model_that_answers_something_else_is_not_compared(recipe, split):
    assert predictions.collect_predictions(recipe, split, Model("probabilities"), Model("score")).live is None
    assert (
        predictions.collect_predictions(recipe, split, Model("probabilities"), Model("probabilities")).live is not None
    )


def test_a_missing_number_is_nan_and_can_be_saved(recipe, tmp_path):
    recipe.data = SimpleNamespace(label="y", classes=(), inputs={"x": "float"})
    recipe.gate, recipe.predicted = Gate(), "other"
    ingest.write_splits([ingest.Row("test", 0.1, {"x": 1.0, "y": 2.5}), ingest.Row("test", 0.2, {"x": 1.0})], tmp_path)
    found = predictions.collect_predictions(recipe, tmp_path / "Split-test", Model("other"), None)
    assert ("numbers", [2.5, None]) == (found.kind, [None if np.isnan(y) else y for y in found.truth])
    found.save(tmp_path / predictions.PREDICTIONS_FILE)
    assert "numbers" == predictions.load_predictions(tmp_path / predictions.PREDICTIONS_FILE).kind
    assert ["mistakes"] == list(diagnostics.diagnose(recipe, found, tmp_path / "Split-test"))


def test_without_an_output_to_judge_by_nothing_is_asked(recipe, split):
    model = Model("one", "two")
    assert "" == predictions.collect_predictions(recipe, split, model, None).kind
    assert [] == model.asked


def test_the_worst_mistakes_come_with_their_inputs(recipe, split):
    answers = np.tile([0.9, 0.1], (600, 1))
    answers[[7, 301]] = [0.999, 0.001], [0.99, 0.01]
    found = Predictions("classes", np.arange(600) % 2, answers)
    worst = examples.worst_examples(found, recipe, split)
    assert examples.WORST_COUNT == len(worst)
    expected = {"truth": "yes", "predicted": "no", "probability": 0.999, "inputs": {"x": {"text": "7"}}}
    assert expected == worst[0]
    assert "301" == worst[1]["inputs"]["x"]["text"]


def test_right_answers_are_no_mistakes():
    found = Predictions("classes", np.array([0, 1]), np.eye(2))
    assert 0 == len(examples.worst_rows(found)[0])


def test_worst_of_numbers_scores_and_levels():
    numbers = Predictions("numbers", np.array([1.0, 2.0, 3.0]), np.array([1.5, 9.0, 3.0]))
    assert ([1], [7.0]) == tuple(found.tolist() for found in examples.worst_rows(numbers, 1))
    score = Predictions("score", np.array([1, 0, 1, 0]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert {0, 3} == set(examples.worst_rows(score, 2)[0].tolist())
    assert [1] == examples.worst_rows(Predictions("level", np.zeros(2), np.array([5.0, -5.0])), 1)[0].tolist()


def test_answers_that_are_no_numbers_are_not_drawn_and_break_nothing(recipe, split):
    answers = np.full((600, 2), 0.5)
    answers[3] = np.nan
    diagnosis = diagnostics.diagnose(recipe, Predictions("classes", np.arange(600) % 2, answers), split)
    assert ["mistakes"] == list(diagnosis)
    assert np.isnan(diagnostics.calibration_error(diagnostics.reliability_curve(answers, np.arange(600) % 2)))


INPUTS = {
    "audio": ("audio_bytes", b"12345", {"text": "5 bytes"}),
    "text": ("text", "Größe".encode(), {"text": "Größe"}),
    "long": ("text", b"x" * 900, {"text": "x" * 399 + "…"}),
    "number": ("age", 41.0, {"text": "41"}),
    "missing": ("age", None, {"text": "missing"}),
    "no image": ("image_bytes", b"GIF", {"text": "3 bytes"}),
}


@pytest.mark.parametrize(("name", "value", "expected"), INPUTS.values(), ids=INPUTS)
def test_inputs_are_made_readable(name, value, expected):
    assert expected == examples.display_value(name, value)


def test_worst_windows_do_not_overlap():
    truth = np.zeros((100, 6))
    answers = np.ones((100, 6)) * np.concatenate([np.arange(50), np.arange(50)])[:, None]
    rows, wrong = examples.worst_rows(Predictions("numbers", truth, answers), 4)
    assert ([49, 99, 43, 93], [49.0, 49.0, 43.0, 43.0]) == (rows.tolist(), wrong.tolist())


def test_a_hole_in_a_vector_is_none():
    assert {"numbers": [1.0, None]} == examples.display_value("beat", [1.0, float("nan")])


def test_vectors_are_thinned_and_only_the_first_is_kept():
    found = examples.display_inputs({"a": [float(n) for n in range(250)], "b": [1.0, 2.0]})
    assert len(found["a"]["numbers"]) <= examples.MAX_POINTS
    assert {"text": "2 numbers"} == found["b"]
