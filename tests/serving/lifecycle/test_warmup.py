"""A model's own warm-up requests: in process, and what they do to a version of a real server."""

from __future__ import annotations

import shutil
import struct

import pytest
import tensorflow as tf
from tensorflow.python.lib.io import tf_record
from tensorflow_serving.apis import prediction_log_pb2

from serving.client.client import Client
from serving.core.model import LoadedModel
from serving.errors import Code, DataLoss, NotFound, ServingError
from serving.lifecycle import warmup

FILE = "assets.extra/tf_serving_warmup_requests"


def _write(folder, records=(), raw=None):
    file = folder / FILE
    file.parent.mkdir()
    if raw is not None:
        file.write_bytes(raw)
        return folder
    with tf_record.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)
    return folder


@pytest.fixture
def warm_copy(saved, tmp_path):
    def copy(records=(), raw=None, name="warm"):
        return _write(shutil.copytree(saved / "linear_1", tmp_path / name), records, raw)

    return copy


def _predict_log(value):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "ignored"
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


def _examples(request, signature):
    request.model_spec.signature_name = signature
    features = request.input.example_list.examples.add().features
    features.feature["x"].float_list.value.append(1.0)


def _four_kinds():
    classify, regress, multi = (prediction_log_pb2.PredictionLog() for _ in range(3))
    _examples(classify.classify_log.request, "classify")
    _examples(regress.regress_log.request, "regress")
    request = multi.multi_inference_log.request
    for kind in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{kind}")
        task.model_spec.signature_name = kind
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    return [_predict_log([1.0]), *(log.SerializeToString() for log in (classify, regress, multi))]


def _unsupported(field):
    log = prediction_log_pb2.PredictionLog()
    getattr(log, field).SetInParent()
    return log.SerializeToString()


class Warmed:
    """What a run of the warm-up reported."""

    def __init__(self):
        self.calls = []

    def __call__(self, path, code, seconds, records):
        assert seconds >= 0
        self.calls.append((path, code, records))


@pytest.mark.parametrize(("iterations", "runs"), [(0, 1), (1, 1), (3, 3)])
def test_all_four_kinds_each_as_often_as_asked(warm_copy, monkeypatch, iterations, runs):
    folder, warmed, predicted = warm_copy(_four_kinds()), Warmed(), []
    predict = warmup.predict.run
    monkeypatch.setattr(warmup.predict, "run", lambda *a, **k: predicted.append(1) or predict(*a, **k))
    assert 4 == warmup.run_requests(LoadedModel(folder), iterations, warmed)
    assert runs == len(predicted)
    assert [(str(folder), Code.OK, 4)] == warmed.calls


def test_no_file_and_an_empty_one_are_fine(saved, warm_copy):
    warmed = Warmed()
    assert 0 == warmup.run_requests(LoadedModel(saved / "linear_1"), warmed=warmed)
    assert [] == warmed.calls
    assert 0 == warmup.run_requests(LoadedModel(warm_copy()), warmed=warmed)
    assert [Code.OK] == [code for _, code, _ in warmed.calls]


@pytest.mark.parametrize(
    ("records", "raw", "code", "text"),
    [
        ((), b"no records here" * 10, Code.DATA_LOSS, "Please verify your warmup data is in TFRecord format"),
        ([b"\xff\xff"], None, Code.INVALID_ARGUMENT, "Failed to parse warmup record: "),
        ([b""], None, Code.UNIMPLEMENTED, "Unsupported log_type for warmup"),
        ([_unsupported("session_run_log")], None, Code.UNIMPLEMENTED, "Unsupported log_type for warmup: 5"),
        (
            [_predict_log([1.0])] * 1001,
            None,
            Code.INVALID_ARGUMENT,
            r"Number of warmup records exceeds the maximum \(1000\) at ",
        ),
        ([_predict_log(True)], None, Code.INVALID_ARGUMENT, r"Expects arg\[0\] to be float but bool is provided"),
    ],
)
def test_a_file_that_fails(warm_copy, records, raw, code, text):
    warmed = Warmed()
    with pytest.raises(ServingError, match=text) as caught:
        warmup.run_requests(LoadedModel(warm_copy(records, raw)), warmed=warmed)
    assert code == caught.value.code
    assert [code] == [one for _, one, _ in warmed.calls]


def test_a_thousand_records_are_not_too_many(warm_copy):
    assert 1000 == len(warmup.read_records(warm_copy([_predict_log([1.0])] * 1000) / FILE))


def test_bad_record_lengths_are_data_loss(tmp_path):
    file = tmp_path / "records"
    file.write_bytes(struct.pack("<Q", 2**40) + b"0" * 20)
    with pytest.raises(DataLoss):
        warmup.read_records(file)


def _publish(publish, source, base, name):
    (base / name).mkdir()
    publish(source, base / name / "1")


@pytest.fixture
def published(tmp_path, warm_copy, publish):
    """A folder to serve: a warm-up for each way that it may go."""
    base = tmp_path / "served"
    base.mkdir()
    for name, records, raw in (
        ("fine", _four_kinds(), None),
        ("garbage", (), b"no records here" * 10),
        ("dtype", [_predict_log(True)], None),
    ):
        _publish(publish, warm_copy(records, raw, name), base, name)
    return base


def test_a_failing_warm_up_blocks_the_version(published, run_server):
    loading = {"poll_seconds": 0.2, "retry_seconds": 0.05, "max_retries": 0}
    with run_server(published, loading=loading) as running, Client(running.rest) as client:
        assert ({"fine": [1]}, 2) == (running.endpoints["models"], len(running.endpoints["failed"])), running.endpoints
        status = {name: client.status(name)[0] for name in ("fine", "garbage", "dtype")}
        assert ["AVAILABLE", "END", "END"] == [one.state for one in status.values()]
        assert "Please verify your warmup data is in TFRecord format" in status["garbage"].error
        assert "Expects arg[0] to be float but bool is provided" == status["dtype"].error
        with pytest.raises(NotFound, match="Servable not found for request"):
            client.predict("dtype", {"x": [1.0]})


def test_without_warm_up_the_file_is_ignored(published, run_server):
    with run_server(published, loading={"warmup": False}) as running:
        assert {"dtype": [1], "fine": [1], "garbage": [1]} == running.endpoints["models"]
