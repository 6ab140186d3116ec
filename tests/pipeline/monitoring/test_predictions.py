"""Answers drift, too: kept when a model is published, compared with those in logged responses."""

import time

import numpy as np
import pytest

from pipeline.monitoring import predictions
from pipeline.store.layout import Workspace
from serving.core.work import LogMetadata
from serving.request_log import files, records
from serving.request_log.files import LogWriter

from .conftest import tensor

KNOWN = [{"x": float(i % 50)} for i in range(400)]
CLASSES = ("cat", "dog")


def probabilities(count, share, seed=0):
    """Answers (count, 2), of which a share says cat."""
    random = np.random.default_rng(seed)
    sure = random.uniform(0.6, 1, count)
    cat = random.random(count) < share
    return np.stack([np.where(cat, sure, 1 - sure), np.where(cat, 1 - sure, sure)], axis=1).astype(np.float32)


def respond(model, outputs, version=1):
    """Logs requests with their answers."""
    answered = LogMetadata(model.name, version, "serving_default", 1.0, int(time.time()))
    writer = LogWriter(files.model_folder(model.log, model.name), 1 << 20)
    for row, output in zip(KNOWN, outputs, strict=False):
        log = records.predict_log(
            answered, {"x": tensor(row["x"])}, {"probabilities": output[None], "label": tensor(b"")}
        )
        writer.write(log.SerializeToString())
    writer.close()


@pytest.fixture
def model(live):
    found = live(KNOWN, ("x",))
    target = Workspace(found.workspace).answers(found.name, "digest")
    predictions.save(target, probabilities(600, 0.5), "probabilities", CLASSES)
    return found


def test_answers_like_those_to_the_test_split_are_quiet(model):
    respond(model, probabilities(300, 0.5, seed=1))
    report = model.monitored()
    assert ("quiet", []) == (report.status, report.lines)
    assert {"x", predictions.PREDICTED_CLASS, predictions.PROBABILITY} == {one.feature for one in report.findings}


def test_a_class_that_is_answered_more_often_is_drift(model):
    respond(model, probabilities(300, 0.9, seed=1))
    report = model.monitored()
    assert {predictions.PREDICTED_CLASS} == {one.feature for one in report.alert_findings}
    assert "predicted class cat" in report.lines[0] or "predicted class dog" in report.lines[0]


def test_a_model_that_is_less_sure_is_drift(model):
    respond(model, probabilities(300, 0.5, seed=1) * 0.5 + 0.25)
    assert {predictions.PROBABILITY} == {one.feature for one in model.monitored().alert_findings}


def test_answers_of_another_version_do_not_count(model):
    respond(model, probabilities(300, 0.9, seed=1), version=2)
    assert {"x"} == {one.feature for one in model.monitored().findings}


def test_a_number_is_compared_as_a_number(tmp_path):
    target = Workspace(tmp_path).answers("model", "digest")
    predictions.save(target, np.arange(100.0), "value", ())
    found = predictions.load(target)
    counted = found.rows([np.arange(10.0), np.zeros((3, 2))])
    assert ("value", {predictions.PREDICTED_NUMBER: list(range(10))}) == (found.output, counted.columns)


@pytest.mark.parametrize("values", [np.zeros((0, 2)), np.zeros((5, 3)), np.zeros((5, 2, 2))], ids=str)
def test_answers_of_another_kind_are_not_kept(values, tmp_path):
    predictions.save(tmp_path / "kept.json", values, "probabilities", CLASSES)
    assert predictions.load(tmp_path / "kept.json") is None
