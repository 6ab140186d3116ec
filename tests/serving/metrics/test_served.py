"""The Prometheus page over a real socket. Needs the server to record requests and to answer `pages`."""

from __future__ import annotations

import http.client
import json

import pytest


@pytest.fixture(scope="module")
def ask(server):
    connection = http.client.HTTPConnection(server.rest.removeprefix("http://"), timeout=60)

    def send(method, path, body=None):
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, reply.getheader("Content-Type"), content

    yield send
    connection.close()


@pytest.fixture
def page(ask):
    def read():
        status, kind, content = ask("GET", "/monitoring/prometheus/metrics")
        assert (200, "text/plain") == (status, kind)
        lines = [line for line in content.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    return read


def grown(before, after, name):
    return after.get(name, 0) - before.get(name, 0)


def test_a_rest_request_is_counted(ask, page):
    before = page()
    assert 200 == ask("POST", "/v1/models/half:predict", {"instances": [1.0]})[0]
    assert 400 == ask("POST", "/v1/models/half:predict", {"instances": "x"})[0]
    after = page()
    labels = 'model="half",version="2",signature="serving_default",api="predict",transport="rest",code="OK"'
    expected = {
        ':tensorflow:serving:request_count{model_name="half",status="OK"}': 1,
        ':tensorflow:serving:request_count{model_name="half",status="INVALID_ARGUMENT"}': 1,
        ':tensorflow:serving:request_latency_count{model_name="half",API="predict",entrypoint="REST"}': 1,
        ':tensorflow:serving:runtime_latency_count{model_name="half",API="Predict",runtime="TF1"}': 1,
        f"keraspipe_requests_total{{{labels}}}": 1,
    }
    assert expected == {name: grown(before, after, name) for name in expected}


def test_a_grpc_request_is_counted(server, page):
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add().size = 1
    request.inputs["x"].float_val.append(1.0)
    before = page()
    with grpc.insecure_channel(server.grpc) as channel:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    name = ':tensorflow:serving:request_latency_count{model_name="half",API="Predict",entrypoint="GRPC"}'
    assert 1 == grown(before, page(), name)


def test_made_up_names_do_not_grow_the_page(ask, page):
    ask("POST", "/v1/models/none0:predict", {"instances": [1.0]})
    ask("POST", "/v1/models/half:predict", {"signature_name": "none0", "instances": [1.0]})
    before = page()
    for number in range(1, 20):
        assert 404 == ask("POST", f"/v1/models/none{number}:predict", {"instances": [1.0]})[0]
        body = {"signature_name": f"none{number}", "instances": [1.0]}
        assert 400 == ask("POST", "/v1/models/half:predict", body)[0]
    after = page()
    assert set(before) == set(after)
    assert 19 == grown(before, after, ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}')


def test_the_state_of_each_version_is_shown(page):
    found = page()
    assert 1 == found['keraspipe_model_state{model="half",version="2",state="AVAILABLE"}']
    assert 1 == found['keraspipe_model_state{model="echo",version="7",state="AVAILABLE"}']


def test_loads_are_counted(page):
    found = page()
    loads = [value for name, value in found.items() if ":saved_model:load_attempt_count" in name]
    assert [1, 1] == loads
