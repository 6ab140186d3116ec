"""Logs as they are found: whole, torn, still written to, of several signatures, of several models."""

import os

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.monitoring import traffic
from pipeline.monitoring.profile import Rows
from pipeline.monitoring.traffic import RequestCounter, TrafficFilter
from serving.core.work import LogMetadata
from serving.request_log import records, tfrecord
from serving.wire import protos, tensor_proto

from .conftest import example

ANSWERED = LogMetadata("model", 3, "serving_default", 1.0, 1_000)
WANTED = TrafficFilter("model", ())


def predicted(answered=ANSWERED, **inputs):
    return records.predict_log(answered, inputs, {"label": np.array([b"yes"], object)})


def written(path, logs):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(tfrecord.frame(log.SerializeToString()) for log in logs))
    return path


def columns(monkeypatch, *logs):
    """The raw columns that requests bring."""
    kept = []
    monkeypatch.setattr(traffic, "count_rows", lambda features, rows: kept.append(rows) or traffic.Traffic().profile)
    counting = RequestCounter(WANTED)
    for log in logs:
        counting.add(log)
    counting.traffic()
    return kept[0].count, {name: list(values) for name, values in kept[0].columns.items()}


def test_rows_of_a_request_are_rows(monkeypatch):
    log = predicted(x=np.array([1.5, 2.5], np.float32), c=np.array([b"a", b"b"], object))
    assert (2, {"x": [1.5, 2.5], "c": [b"a", b"b"]}) == columns(monkeypatch, log)


def test_tensors_by_content_and_columns_of_one_are_rows_too(monkeypatch):
    log = predicted(x=np.zeros((2, 1), np.float32))
    log.predict_log.request.inputs["x"].Clear()
    tensor_proto.encode(np.array([[1.5], [2.5]]), log.predict_log.request.inputs["x"], as_content=True)
    assert (2, {"x": [1.5, 2.5]}) == columns(monkeypatch, log)


def test_a_vector_is_a_value(monkeypatch):
    count, found = columns(monkeypatch, predicted(x=np.arange(6, dtype=np.float32).reshape(2, 3)))
    assert (2, [[0, 1, 2], [3, 4, 5]]) == (count, [value.tolist() for value in found["x"]])


def test_an_input_that_a_request_lacks_is_missing_in_its_rows(monkeypatch):
    logs = [predicted(x=np.array([1.0])), predicted(y=np.array([2.0])), predicted(x=np.array([3.0]), y=np.array([4.0]))]
    assert (3, {"x": [1, None, 3], "y": [None, 2, 4]}) == columns(monkeypatch, *logs)


def test_examples_are_rows_whatever_the_signature(monkeypatch):
    row = {"x": 1.5, "n": 3, "c": b"a", "gone": None}
    given = protos.load("apis.input_pb2").Input()
    given.example_list.examples.append(example(row))
    serialized = predicted(examples=np.array([example(row).SerializeToString()], object))
    found = columns(monkeypatch, records.classify_log(ANSWERED, given, [[(b"a", 1.0)]]), serialized)
    assert (2, {"x": [1.5] * 2, "n": [3] * 2, "c": [b"a"] * 2, "gone": [None] * 2}) == found


def test_a_request_that_is_no_tensor_is_reported_and_passed_over(tmp_path):
    log = predicted(x=np.array([1.0, 2.0], np.float32))
    log.predict_log.request.inputs["x"].tensor_shape.dim[0].size = -3
    found = traffic.read_traffic([written(tmp_path / "a.tfrecord", [log, predicted(x=np.array([1.0]))])], WANTED)
    assert (1, 1) == (found.requests, found.profile.rows)
    assert "1 requests in" in found.faults[0]


def test_a_damaged_file_is_read_up_to_the_damage_and_reported(tmp_path):
    path = written(tmp_path / "a.tfrecord", [predicted(x=np.array([1.0]))] * 3)
    path.write_bytes(path.read_bytes()[:-5])
    found = traffic.read_traffic([path], WANTED)
    assert 2 == found.requests
    assert str(path) in found.faults[0]


def test_a_file_that_is_being_written_is_read_up_to_its_last_whole_request(tmp_path):
    part = written(tmp_path / "model" / ".20261121T101530Z-7-0001.tfrecord.part", [predicted(x=np.array([1.0]))] * 3)
    part.write_bytes(part.read_bytes()[:-5])
    found = traffic.read_traffic(traffic.log_files(tmp_path, "model"), WANTED)
    assert (2, ()) == (found.requests, found.faults)


def test_a_file_that_got_its_name_meanwhile_is_read_under_it(tmp_path):
    part = written(tmp_path / "model" / ".a.tfrecord.part", [predicted(x=np.array([1.0]))])
    (found,) = traffic.log_files(tmp_path, "model")
    part.rename(tmp_path / "model" / "a.tfrecord")
    assert 1 == traffic.read_traffic([found], WANTED).requests


def test_only_requests_of_the_period_and_of_the_model_count(tmp_path):
    other = LogMetadata("other", 1, "serving_default", 1.0, 3_000)
    late = LogMetadata("model", 4, "serving_default", 1.0, 3_000)
    logs = [predicted(who, x=np.array([1.0])) for who in (ANSWERED, late, other)]
    found = traffic.read_traffic([written(tmp_path / "a.tfrecord", logs)], TrafficFilter("model", (), since=2_000))
    assert (1, {4: 1}, 3_000, 3_000) == (found.requests, dict(found.versions), found.first, found.last)


def test_files_that_were_complete_before_the_period_are_not_opened(tmp_path):
    path = written(tmp_path / "a.tfrecord", [])
    path.write_bytes(b"damaged, which would be told")
    os.utime(path, (1_000, 1_000))
    assert () == traffic.read_traffic([path], TrafficFilter("model", (), since=2_000)).faults


@pytest.mark.process
def test_two_processes_count_as_one_does(tmp_path, monkeypatch):
    logs = [predicted(x=np.array([1.0]))] * 5
    paths = [written(tmp_path / f"{i}.tfrecord", logs) for i in range(3)]
    alone = traffic.read_traffic(paths, WANTED)
    monkeypatch.setattr(traffic, "PARALLEL_BYTES", 1)
    assert alone == traffic.read_traffic(paths, WANTED)
    assert 15 == alone.requests


def test_a_folder_of_files_without_a_folder_per_model_will_do(tmp_path):
    path = written(tmp_path / "requests.tfrecord-00000-of-00001", [])
    assert ([path], [path]) == (traffic.log_files(tmp_path, "model"), traffic.log_files(path, "model"))


def test_a_log_that_is_not_there_is_an_error_that_says_how_to_get_one(tmp_path):
    with pytest.raises(PipelineError, match="serve with: --request-log"):
        traffic.log_files(tmp_path / "none", "model")


def test_rows_of_unequal_tensors_are_filled_up():
    rows = Rows()
    rows.add_tensors(predicted(x=np.array([1.0, 2.0]), seed=np.array([7])).predict_log.request.inputs)
    assert (2, {"x": [1, 2], "seed": [7, None]}) == (rows.count, rows.columns)
