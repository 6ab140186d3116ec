"""The Prometheus page: TensorFlow Serving's names, ours, and what a hostile client can do to it."""

from __future__ import annotations

import json
import math
import re
import threading
from types import SimpleNamespace

import pytest

from serving.core.models import Models
from serving.core.servable import Servable, ServableState
from serving.errors import Code
from serving.metrics import exposition, model_states, series
from serving.metrics.registry import Metrics

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL}(?:,{_LABEL})*)?)\}})? (\S+)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_HELP = re.compile(rf"# HELP {_NAME} .+")


def parsed(page):
    """Samples by name with labels, by a strict reading of the text format."""
    found, kinds, now = {}, {}, ""
    assert page.endswith(b"\n")
    for line in page.decode().splitlines():
        if kind := _TYPE.fullmatch(line):
            now = kind[1]
            assert now not in kinds
            kinds[now] = kind[2]
        elif not _HELP.fullmatch(line):
            sample = _SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1].startswith(now)
            key = f"{sample[1]}{{{sample[2] or ''}}}"
            assert key not in found
            found[key] = float(sample[3])
    return found


@pytest.fixture
def metrics():
    made = Metrics()
    made.add_version("m", 3, ["serving_default"])
    return made


def test_tensorflow_servings_names(metrics):
    metrics.request("REST", "predict", "m", 3, "serving_default", Code.OK, 0.000018)
    metrics.request("GRPC", "Predict", "m", 3, "serving_default", Code.INVALID_ARGUMENT, 1.0)
    lines = metrics.text().decode().splitlines()
    prefix = ':tensorflow:serving:request_latency_bucket{model_name="m",API="predict",entrypoint="REST",'
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 1' in lines
    assert ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1' in lines
    # A value on a bound counts above it, as in TensorFlow.
    assert [f'{prefix}le="18"}} 0', f'{prefix}le="32.4"}} 1'] == [
        line for line in lines if line.startswith((f'{prefix}le="18"', f'{prefix}le="32.4"'))
    ]
    assert 34 == sum(line.startswith(prefix) for line in lines)
    assert f'{prefix}le="+Inf"}} 1' in lines
    assert ':tensorflow:serving:request_latency_sum{model_name="m",API="predict",entrypoint="REST"} 18' in lines
    assert not [line for line in lines if line.startswith("# HELP :tensorflow")]


def test_only_successes_have_a_latency_and_only_inference_is_counted(metrics):
    metrics.request("GRPC", "Regress", "m", 3, "serving_default", Code.INTERNAL, 1.0)
    metrics.request("GRPC", "MultiInference", "m", 3, "serving_default", Code.OK, 1.0)
    metrics.request("REST", "metadata", "m", 3, "", Code.OK, 1.0)
    found = parsed(metrics.text())
    assert not [name for name in found if name.startswith(":tensorflow:serving:request_latency")]
    assert [':tensorflow:serving:request_count{model_name="m",status="INTERNAL"}'] == [
        name for name in found if "request_count{" in name
    ]
    assert 3 == sum(value for name, value in found.items() if name.startswith("keraspipe_requests_total"))


def test_our_names_and_buckets(metrics):
    metrics.request("REST", "predict", "m", 3, "serving_default", Code.OK, 0.5)
    found = parsed(metrics.text())
    labels = 'model="m",version="3",signature="serving_default",api="predict",transport="rest",code="OK"'
    name = "keraspipe_request_duration_seconds"
    assert 1 == found[f"keraspipe_requests_total{{{labels}}}"]
    assert [0, 1, 0.5, 1] == [
        found[f'{name}_bucket{{{labels},le="0.25"}}'],
        found[f'{name}_bucket{{{labels},le="0.5"}}'],  # le means less or equal
        found[f"{name}_sum{{{labels}}}"],
        found[f"{name}_count{{{labels}}}"],
    ]
    assert found["process_resident_memory_bytes{}"] > 2**20


def test_every_record_is_on_the_page(metrics):
    metrics.begin()
    metrics.begin()
    metrics.end()
    metrics.runtime("Predict", "m", 0.001)
    metrics.runtime("predict", "m", 0.001)  # over REST
    metrics.examples("m", 3)
    metrics.example_total("m", 3)
    metrics.warmup("/models/m/3", Code.OK, 0.2, 4)
    metrics.load("/models/m/3", Code.OK, 1.5)
    metrics.load("/models/m/4", Code.DATA_LOSS, 1.5)
    metrics.record_log("m", Code.RESOURCE_EXHAUSTED)
    metrics.mlmd("m", 3, "uuid-7")
    metrics.state("m", 3, "LOADING")
    metrics.state("m", 3, "AVAILABLE")
    metrics.batch("m", [2, 3], 8, [0.001, 0.002])
    found = parsed(metrics.text())
    expected = {
        "keraspipe_requests_in_flight{}": 1,
        ':tensorflow:serving:runtime_latency_sum{model_name="m",API="Predict",runtime="TF1"}': 2000,
        ':tensorflow:serving:request_example_counts_sum{model="m"}': 3,
        ':tensorflow:serving:request_example_count_total{model="m"}': 3,
        ':tensorflow:serving:model_warmup_latency_count{model_path="/models/m/3",status="OK"}': 1,
        ':tensorflow:serving:model_warmup_records_read{model_path="/models/m/3"}': 4,
        ':tensorflow:cc:saved_model:load_attempt_count{model_path="/models/m/3",status="success"}': 1,
        ':tensorflow:cc:saved_model:load_attempt_count{model_path="/models/m/4",status="fail"}': 1,
        ':tensorflow:cc:saved_model:load_latency{model_path="/models/m/3"}': 1500000,
        ':tensorflow:serving:request_log_count{model_name="m",status_code="RESOURCE_EXHAUSTED"}': 1,
        ':tensorflow:serving:mlmd_map{model_name="m",version="3"}': 0,
        'keraspipe_mlmd_info{model="m",version="3",uuid="uuid-7"}': 1,
        'keraspipe_model_state{model="m",version="3",state="AVAILABLE"}': 1,
        ":tensorflow:serving:batching_session:wrapped_run_count{}": 1,
        ":tensorflow:serving:batching_session:input_batch_size_count{}": 2,
        ":tensorflow:serving:batching_session:processed_batch_size_sum{}": 8,
        ':tensorflow:serving:batching_session:padding_size_sum{execution_batch_size="8"}': 3,
        ':tensorflow:serving:batching_session:queuing_latency_sum{thread_pool_name="batch_threads"}': 3000,
        'keraspipe_batch_rows_sum{model="m"}': 5,
    }
    assert expected == {name: found.get(name) for name in expected}
    assert 'keraspipe_model_state{model="m",version="3",state="LOADING"}' not in found


def test_names_that_clients_make_up_get_no_series(metrics):
    for number in range(500):
        metrics.request("REST", "predict", f"evil{number}", None, "s", Code.NOT_FOUND, 0.001)
        metrics.request("REST", "predict", "m", 3, f"evil{number}", Code.INVALID_ARGUMENT, 0.001)
        metrics.request("REST", "predict", "m", None, f"evil{number}", Code.NOT_FOUND, 0.001)
    found = parsed(metrics.text())
    assert "evil" not in json.dumps(list(found))
    assert 3 == sum(name.startswith("keraspipe_requests_total") for name in found)
    assert 500 == found[':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}']
    assert len(metrics._requests) <= 3


def test_a_signature_that_answered_is_a_label_also_when_it_fails():
    metrics = Metrics()
    metrics.request("GRPC", "Predict", "late", 1, "embed", Code.OK, 0.001)
    metrics.request("GRPC", "Predict", "late", 1, "embed", Code.DEADLINE_EXCEEDED, 0.001)
    labels = 'model="late",version="1",signature="embed",api="predict",transport="grpc",code="DEADLINE_EXCEEDED"'
    assert 1 == parsed(metrics.text())[f"keraspipe_requests_total{{{labels}}}"]


def test_versions_that_ended_leave_the_page_in_the_end():
    metrics = Metrics()
    for version in range(1, 31):
        metrics.add_version("m", version, ["s"])
        metrics.state("m", version, "AVAILABLE")
        metrics.request("REST", "predict", "m", version, "s", Code.OK, 0.001)
        metrics.state("m", version, "END")
    found = parsed(metrics.text())
    assert 8 == sum(name.startswith("keraspipe_requests_total") for name in found)
    assert 8 == sum(name.startswith("keraspipe_model_state") for name in found)
    assert 30 == found[':tensorflow:serving:request_count{model_name="m",status="OK"}']


def test_a_version_that_came_back_stays():
    metrics = Metrics()
    metrics.state("m", 1, "END")
    metrics.state("m", 1, "AVAILABLE")
    for version in range(2, 12):
        metrics.state("m", version, "END")
    assert 'keraspipe_model_state{model="m",version="1",state="AVAILABLE"}' in parsed(metrics.text())


def test_states_signatures_and_keys_are_taken_from_the_models(tmp_path):
    models, metrics = Models(), Metrics()
    servable = Servable("m", 1, tmp_path)
    models.add(servable)
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "mlmd_uuid").write_text("uuid-1\n")
    model_states.record_states(metrics, models)
    servable.publish(SimpleNamespace(signatures={"embed": None}, close=lambda: None))
    for _ in range(2):
        model_states.record_states(metrics, models)
    metrics.request("GRPC", "Predict", "m", 1, "embed", Code.INTERNAL, 0.1)
    found = parsed(metrics.text())
    labels = 'model="m",version="1",signature="embed",api="predict",transport="grpc",code="INTERNAL"'
    assert 1 == found[f"keraspipe_requests_total{{{labels}}}"]
    assert 1 == found['keraspipe_mlmd_info{model="m",version="1",uuid="uuid-1"}']
    assert ['keraspipe_model_state{model="m",version="1",state="AVAILABLE"}'] == [
        name for name in found if name.startswith("keraspipe_model_state")
    ]
    servable.retire()
    model_states.record_states(metrics, models)
    assert 1 == parsed(metrics.text())['keraspipe_model_state{model="m",version="1",state="END"}']


def test_many_ended_versions_are_not_shown_again(tmp_path):
    models, metrics = Models(), Metrics()
    for version in range(1, 31):
        servable = Servable("m", version, tmp_path)
        servable.state = ServableState.END
        models.add(servable)
    for _ in range(2):
        model_states.record_states(metrics, models)
        shown = [name for name in parsed(metrics.text()) if name.startswith("keraspipe_model_state")]
        assert [str(version) for version in range(23, 31)] == sorted(name.split('"')[3] for name in shown)


def test_odd_names_are_escaped():
    metrics = Metrics()
    name = 'a"b\\c\nd{},= \udcff é'
    metrics.request("REST", "predict", name, 1, "s", Code.OK, 0.001)
    found = parsed(metrics.text())
    assert r':tensorflow:serving:request_count{model_name="a\"b\\c\nd{},= ? é",status="OK"}' in found


def test_workers_add_up(metrics):
    other = Metrics()
    for one in (metrics, other, other):
        one.request("REST", "predict", "m", 3, "serving_default", Code.OK, 0.5)
        one.begin()
    other.mlmd("m", 3, "u")
    metrics.mlmd("m", 3, "u")
    sent = [json.loads(json.dumps(one.snapshot())) for one in (metrics, other)]
    page = parsed(exposition.render_page(exposition.merge_snapshots(sent)))
    labels = 'model="m",version="3",signature="serving_default",api="predict",transport="rest",code="OK"'
    expected = {
        ':tensorflow:serving:request_count{model_name="m",status="OK"}': 3,
        f"keraspipe_request_duration_seconds_sum{{{labels}}}": 1.5,
        f'keraspipe_request_duration_seconds_bucket{{{labels},le="0.5"}}': 3,
        "keraspipe_requests_in_flight{}": 3,
        'keraspipe_mlmd_info{model="m",version="3",uuid="u"}': 1,
    }
    assert expected == {name: page[name] for name in expected}
    assert page["process_start_time_seconds{}"] == min(one["process_start_time_seconds"][0][1] for one in sent)


def test_counters_by_either_name(metrics):
    metrics.request("REST", "predict", "m", 3, "serving_default", Code.OK, 0.5)
    metrics.request("REST", "predict", "x", None, "", Code.NOT_FOUND, 0.5)
    metrics.warmup("/p", Code.OK, 0.2, 4)
    counters = metrics.counters()
    names = [
        "/tensorflow/serving/request_count",
        ":tensorflow:serving:request_count",
        "/tensorflow/serving/model_warmup_latency",
        "/tensorflow/serving/model_warmup_records_read",
        "/tensorflow/serving/request_log_count",
    ]
    assert [2, 2, 1, 4, 0] == [counters[name] for name in names]


def test_nothing_is_lost_between_threads(metrics):
    def work():
        for _ in range(2000):
            metrics.begin()
            metrics.request("REST", "predict", "m", 3, "serving_default", Code.OK, 0.002)
            metrics.end()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    pages = [metrics.text() for _ in range(5)]
    for thread in threads:
        thread.join()
    found = parsed(metrics.text())
    assert 16000 == found[':tensorflow:serving:request_count{model_name="m",status="OK"}']
    assert 0 == found["keraspipe_requests_in_flight{}"]
    assert [parsed(page) for page in pages]


def test_buckets_are_upstreams():
    # std::pow would differ in the last digits; the page shows six.
    assert ["10", "18", "32.4", "58.32", "104.976", "188.957"] == [f"{bound:g}" for bound in series.MICROSECONDS[:6]]
    assert 33 == len(series.MICROSECONDS)
    assert 20 * 60 * 1e6 < series.MICROSECONDS[-1] < math.inf


def test_prometheus_own_parser_reads_the_page(metrics):
    parser = pytest.importorskip("prometheus_client.parser")
    metrics.request("REST", "predict", "m", 3, "serving_default", Code.OK, 0.5)
    samples = {
        sample.name: sample.value
        for one in parser.text_string_to_metric_families(metrics.text().decode())
        for sample in one.samples
        if sample.labels.get("code") == "OK" or sample.labels.get("status") == "OK"
    }
    assert 1 == samples["keraspipe_requests_total"]
    assert 1 == samples[":tensorflow:serving:request_count_total"]  # the parser renames counters so


def test_deaths_of_processes_are_counted():
    metrics = Metrics()
    metrics.deaths(2)
    assert b"keraspipe_worker_deaths_total 2" in exposition.render_page(metrics.snapshot())
