"""What a server takes at most, and what else can be set, on both transports."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import select
import socket
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.hostile.http2 import SlowCall
from serving.core.work import MemoryBudget, available_memory
from serving.grpc_api.control import health_methods
from serving.grpc_api.server import truncate
from serving.options import Limits
from serving.wire import tensor_proto

REQUEST_BYTES = 1_000_000
HEALTH = "/grpc.health.v1.Health/Check"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tight(run_server, served, tmp_path_factory):
    """A server with small limits, and with everything on or off that is not so by default."""
    with run_server(
        served,
        limits={"request_bytes": REQUEST_BYTES, "memory_bytes": 1_500_000, "concurrent": 4},
        rest_timeout_seconds=0.2,
        cors=True,
        health_service=True,
        monitoring_path=None,
        tensor_content=True,
        grpc_arguments=[["grpc.max_connection_age_ms", 200_000], ["grpc.lb_policy_name", "grpclb"]],
    ) as running:
        yield running


def _address(running):
    host, port = running.rest.removeprefix("http://").split(":")
    return host, int(port)


def _rest(running, body, headers=None, model="half", method="POST"):
    connection = http.client.HTTPConnection(*_address(running), timeout=60)
    with contextlib.closing(connection):
        connection.request(method, f"/v1/models/{model}:predict", body, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null"), dict(response.getheaders())


def _sized(size):
    """A good predict body of so many bytes."""
    body = b'{"instances": [2.0], "padding": ""}'
    return body.replace(b'""', b'"%s"' % (b"x" * (size - len(body))))


def _call(running, request, timeout=60, options=()):
    with grpc.insecure_channel(running.grpc, options=list(options)) as channel:
        return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=timeout)


def _request(values, model="half", signature="", name="x"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    tensor_proto.encode(np.asarray(values, np.float32), request.inputs[name])
    return request


# Size of a request.


@pytest.mark.parametrize(("size", "status"), [(REQUEST_BYTES, 200), (REQUEST_BYTES + 1, 413)])
def test_a_rest_request_of_the_largest_size(tight, size, status):
    found, answer, _ = _rest(tight, _sized(size))
    assert (status, ["error" if status == 413 else "predictions"]) == (found, list(answer))


def test_a_request_that_is_too_large_is_refused_before_it_is_sent(tight):
    with socket.create_connection(_address(tight), timeout=60) as raw:
        raw.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_request_in_chunks_is_refused_once_it_is_too_large(tight):
    with socket.create_connection(_address(tight), timeout=60) as raw:
        raw.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):  # it may have closed its side by then
            for _ in range(REQUEST_BYTES // 10_000 + 2):
                raw.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_grpc_request_that_is_too_large(tight):
    assert 200_000 == len(_call(tight, _request(np.zeros(200_000))).outputs["y"].tensor_content) // 4
    with pytest.raises(grpc.RpcError) as caught:
        _call(tight, _request(np.zeros(300_000)))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()


def test_the_largest_request_by_default_is_what_the_readme_says(server):
    stated = int(re.search(r"`--max-request-mb` \((\d+)\)", (ROOT / "README.md").read_text())[1]) * 2**20
    assert Limits().request_bytes == stated
    with socket.create_connection(_address(server), timeout=60) as raw:
        raw.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (stated + 1))
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
    with contextlib.closing(SlowCall(int(server.grpc.rpartition(":")[2]), PREDICT, stated + 1)) as call:
        call.send(1000)
        call.wait(60)
        assert call.refused


def test_what_gzip_inflates_beyond_the_limit_of_100_mib_reads_as_empty(server):
    bomb = gzip.compress(b'{"instances": [' + b" " * (100 * 2**20) + b"2.0]}", 1)
    status, answer, _ = _rest(server, bomb, {"Content-Encoding": "gzip"})
    assert (400, "JSON Parse error: The document is empty") == (status, answer["error"])


def test_large_messages_are_taken_by_default(server):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    tensor = predict_pb2.PredictRequest()
    tensor.model_spec.name, tensor.model_spec.signature_name = "echo", "float32"
    proto = tensor.inputs["x"]
    proto.dtype, proto.tensor_content = 1, np.ones(16 * 2**20, np.float32).tobytes()
    proto.tensor_shape.dim.add(size=16 * 2**20)
    answer = _call(server, tensor, options=options)
    assert 16 * 2**20 == len(answer.outputs["y"].float_val)
    status, found, _ = _rest(server, _sized(32 * 2**20))
    assert (200, {"predictions": [4.0]}) == (status, found)


# Memory.


def test_memory_that_requests_hold_is_limited_and_comes_back(tight, wait_for):
    body = _sized(REQUEST_BYTES)

    def refused():
        status, answer, _ = _rest(tight, body)
        return status == 429 and "as many bytes of requests as it may" in answer["error"]

    def hold():
        """A connection that holds a body but for its last byte; None where a question of ours took the room first."""
        raw = socket.create_connection(_address(tight), timeout=60)
        raw.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        with contextlib.suppress(OSError):
            raw.sendall(body[:-1])
            for _ in range(100):
                if select.select([raw], [], [], 0.05)[0]:
                    break
                if refused():
                    return raw
        raw.close()
        return None

    with wait_for(hold) as raw:
        with pytest.raises(grpc.RpcError) as caught:
            _call(tight, _request(np.zeros(200_000)))
        assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()
        assert "as many bytes of requests as it may" in caught.value.details()
        assert 200 == _rest(tight, _sized(1000))[0]  # small ones still fit
        raw.sendall(body[-1:])
        assert raw.recv(100).startswith(b"HTTP/1.1 200 ")
    assert 200 == _rest(tight, body)[0]
    wait_for(hold).close()  # one that goes away in the middle
    wait_for(lambda: _rest(tight, body)[0] == 200)


def test_a_budget():
    budget = MemoryBudget(10)
    assert [True, True, False, True] == [budget.take(size) for size in (4, 6, 1, 0)]
    budget.give(6)
    assert [False, True] == [budget.take(size) for size in (7, 6)]


def test_a_budget_without_a_limit_is_half_of_the_memory():
    half = available_memory() // 2
    budget = MemoryBudget()
    assert budget.take(half)
    assert not budget.take(1)


@pytest.mark.parametrize("text", ["max\n", "", "4096\n"])
def test_memory_of_a_container(tmp_path, monkeypatch, text):
    whole = available_memory()
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    monkeypatch.setattr("serving.core.work._CGROUP", limit)
    assert (4096 if "4096" in text else True) == (available_memory() if "4096" in text else available_memory() >= whole)


# Requests at a time, and time.


def test_requests_at_a_time_are_limited(tight, wait_for):
    slow = _request([1.0], "echo", "slow")
    with grpc.insecure_channel(tight.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        waiting = [stub.Predict.future(slow, timeout=60) for _ in range(8)]
        wait_for(lambda: sum(one.done() for one in waiting) >= 4)  # the others are being answered
        status, answer, _ = _rest(tight, _sized(100))
        assert (429, "The server answers 4 requests already, its limit") == (status, answer["error"])
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(_request([1.0]), timeout=60)
        assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()
        answered = [one.result() for one in waiting if one.exception() is None]
        refused = [one.exception().code() for one in waiting if one.exception() is not None]
        assert 4 == len(answered)
        assert {grpc.StatusCode.RESOURCE_EXHAUSTED} == set(refused)
        assert {1.0} == {tensor_proto.decode(one.outputs["y"], "y").tolist()[0] for one in answered}
    assert 200 == _rest(tight, _sized(100))[0]


def test_a_rest_request_that_takes_too_long(tight):
    status, answer, _ = _rest(tight, json.dumps({"signature_name": "slow", "instances": [1.0]}), model="echo")
    assert (504, "Timed out waiting for notification") == (status, answer["error"])


def test_a_grpc_request_past_its_deadline_is_given_up(tight):
    with pytest.raises(grpc.RpcError) as caught:
        _call(tight, _request([1.0], "echo", "slow"), timeout=0.2)
    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()


@pytest.mark.parametrize("letter", ["x", "%", "\n", "é", "\N{SNOWMAN}", "\N{GRINNING FACE}", "xé\N{SNOWMAN}"])
def test_the_text_of_an_error_is_cut(server, letter):
    request = _request([1.0])
    request.output_filter.append(letter * 3000)
    with pytest.raises(grpc.RpcError) as caught:
        _call(server, request)
    details = caught.value.details()
    assert grpc.StatusCode.INVALID_ARGUMENT is caught.value.code()
    assert details.endswith("...TRUNCATED")
    assert len(details) <= 1024 + len("...TRUNCATED")


LONG = st.builds(str.__mul__, st.text(max_size=20), st.integers(1, 2000))


@given(LONG)
def test_an_error_arrives_within_what_grpc_takes_for_metadata(text):
    """https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: what is not printable ASCII goes as %XX."""
    cut = truncate(text)
    on_the_wire = sum(1 if " " <= chr(byte) <= "~" and chr(byte) != "%" else 3 for byte in cut.encode())
    assert on_the_wire <= 8192 - 512
    assert text.startswith(cut.removesuffix("...TRUNCATED"))
    assert cut == text or cut.endswith("...TRUNCATED")
    assert cut != text or len(text) <= 1024


@given(st.builds(str.__mul__, st.text(st.characters(codec="ascii"), max_size=20), st.integers(1, 2000)))
def test_an_error_in_ascii_is_cut_where_upstream_cuts_it(text):
    assert (text if len(text) <= 1024 else text[:1024] + "...TRUNCATED") == truncate(text)


# What is on or off.


def _health(running, service):
    with grpc.insecure_channel(running.grpc) as channel:
        message = b"\n" + bytes([len(service)]) + service if service else b""
        return channel.unary_unary(HEALTH)(message, timeout=60)


@pytest.mark.parametrize("service", [b"", b"ModelService", b"PredictionService"])
def test_health(tight, service):
    assert b"\x08\x01" == _health(tight, service)


def test_health_of_an_unknown_service(tight):
    with pytest.raises(grpc.RpcError) as caught:
        _health(tight, b"Nothing")
    assert grpc.StatusCode.NOT_FOUND is caught.value.code()


def test_health_is_off_by_default(server):
    with pytest.raises(grpc.RpcError) as caught:
        _health(server, b"")
    assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()


def test_health_while_draining():
    [check] = health_methods(lambda: True).values()
    assert b"\x08\x02" == check(b"")


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"instances": [2.0]}', 200), (b"{", 400), (b'{"instances": ["x"]}', 400)]
)
def test_cors_on_every_answer(tight, body, status):
    found, _, headers = _rest(tight, body, {"Origin": "http://example.org"})
    wanted = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET",
        "Access-Control-Allow-Headers": "Content-Type",
    }
    assert (status, wanted) == (found, {key: headers.get(key) for key in wanted})


def test_cors_is_off_by_default(server):
    _, _, headers = _rest(server, b'{"instances": [2.0]}', {"Origin": "http://example.org"})
    assert [] == [key for key in headers if key.startswith("Access-Control")]


def test_no_metrics_page(tight):
    connection = http.client.HTTPConnection(*_address(tight), timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/monitoring/prometheus/metrics")
        assert 404 == connection.getresponse().status


def test_tensors_as_content(tight, server):
    content, typed = (_call(one, _request([2.0, 4.0])).outputs["y"] for one in (tight, server))
    assert (b"", 8, 0) == (typed.tensor_content, len(content.tensor_content), len(content.float_val))
    assert list(typed.float_val) == tensor_proto.decode(content, "y").tolist()


def test_requests_of_many_threads_meet_their_limits_and_no_other(tight):
    """Every request is either answered or refused because there are too many; afterwards nothing is held."""
    found, lock = [], threading.Lock()

    def ask():
        for _ in range(5):
            status = _rest(tight, _sized(200_000))[0]
            with lock:
                found.append(status)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 == len(found)
    assert {200, 429} >= set(found)
    assert 200 == _rest(tight, _sized(REQUEST_BYTES))[0]
