"""`keraspipe loadtest` against a real server, over both transports."""

from __future__ import annotations

import json
from argparse import Namespace

import numpy as np
import pytest

from pipeline.commands import loadtest
from pipeline.errors import PipelineError, UsageError
from serving.core.signature import Signature, TensorInfo
from serving.errors import InvalidArgument, NotFound, Unimplemented
from serving.loadtest import generator, request
from serving.loadtest.generator import run
from serving.loadtest.request import target_for_model
from serving.loadtest.target import Load, Target
from serving.wire import dtypes, protos, tensor_proto

DEFAULTS = {
    "name": "half",
    "url": None,
    "grpc": None,
    "rate": None,
    "concurrency": None,
    "duration": 0.3,
    "warmup": 0.05,
    "arrivals": "poisson",
    "connections": 4,
    "signature": "serving_default",
    "input": [],
    "rows": 1,
    "ca": None,
    "token_file": None,
    "timeout": 10.0,
    "json": True,
}


@pytest.fixture(params=["url", "grpc"])
def where(request, server):
    return {request.param: server.rest if request.param == "url" else server.grpc}


@pytest.fixture
def ask(capsys, where):
    def run_command(**options):
        code = loadtest.command(Namespace(**{**DEFAULTS, **where, **options}), None)
        return code, capsys.readouterr().out

    return run_command


KEYS = {
    *("model", "signature", "transport", "address", "mode", "latency_from", "rate_asked", "arrivals", "concurrency"),
    *("duration_s", "warmup_s", "requests", "failed", "errors", "rate", "seconds", "bytes_sent", "bytes_received"),
    *("latency_ms", "histogram", "unsent", "waited", "behind_schedule", "generator_cpu", "warnings", "interrupted"),
}


def test_open_loop_as_json(ask):
    code, out = ask(rate=100.0, arrivals="constant")
    found = json.loads(out)
    assert (0, KEYS) == (code, set(found))
    assert ("half", "open", "due", 100.0, None) == tuple(
        found[key] for key in ("model", "mode", "latency_from", "rate_asked", "concurrency")
    )
    assert (0, {}, False) == (found["failed"], found["errors"], found["interrupted"])
    assert 30 == pytest.approx(found["requests"] + found["unsent"], abs=1)
    latency = found["latency_ms"]
    assert ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"] == list(latency)
    assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99.9"] <= latency["max"]
    assert found["requests"] + found["unsent"] == sum(row["count"] for row in found["histogram"])
    assert {"from_ms", "to_ms", "count"} == set(found["histogram"][0])
    assert found["bytes_received"] > found["requests"]


def test_closed_loop_for_a_person(ask):
    code, out = ask(concurrency=2, json=False)
    assert 0 == code
    assert "closed loop, 2 clients; latency from the sending of a request" in out
    assert "0 failed" in out
    assert "█" in out
    assert max(map(len, out.splitlines())) <= 80


def test_generated_requests_fit_every_signature(where):
    for name in ("float32", "float64", "int32", "int64", "uint8", "bool", "string", "pair", "matrix"):
        target = target_for_model("echo", signature=name, rows=3, **{"url": "", **where})
        generator.check_target(target)


def test_half_floats_travel_over_grpc_only(server):
    generator.check_target(target_for_model("echo", signature="float16", grpc=server.grpc))
    with pytest.raises(Unimplemented, match="--grpc"):
        target_for_model("echo", signature="float16", url=server.rest)


def test_a_failing_request_counts_by_its_code(server):
    rest = Target(server.rest, "/v1/models/absent:predict", b'{"instances": [1.0]}')
    load = Load(concurrency=2, duration_s=0.2, warmup_s=0)
    result = run(rest, load)
    assert {"HTTP 404": result.requests} == result.errors
    assert (0.0, 0) == (result.rate, len(result.latency))
    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = "absent"
    path = "/tensorflow.serving.PredictionService/Predict"
    assert ["NOT_FOUND"] == list(run(Target(server.grpc, path, request.SerializeToString(), "grpc"), load).errors)


def test_a_timeout_over_grpc(server):
    target = target_for_model("echo", grpc=server.grpc, signature="slow", timeout_s=0.05)
    result = run(target, Load(rate=20.0, arrivals="constant", duration_s=0.1, warmup_s=0, connections=1))
    assert {"DEADLINE_EXCEEDED": 2} == result.errors
    assert 2 == len(result.latency)


def test_a_failed_request_is_exit_code_1(ask, monkeypatch):
    monkeypatch.setattr(generator, "check_target", lambda _: None)
    code, out = ask(name="echo", signature="matrix", input=["[1, 2, 3]"], warmup=0.0)
    assert (1, json.loads(out)["requests"]) == (code, json.loads(out)["failed"])


def test_the_model_refuses_the_generated_request(ask):
    with pytest.raises(PipelineError, match=r"(?s)echo refused .*Expected: .*Received: .*Next: .*--input"):
        ask(name="echo", signature="matrix", input=["[1, 2, 3]"])


def test_input_from_values_and_files(ask, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"\xff\x00")
    assert 0 == ask(name="echo", signature="string", input=[str(image)])[0]
    assert 0 == ask(name="echo", signature="pair", input=[f"text={image}", "number=[1, 2]"], rows=2)[0]
    body = tmp_path / "body.json"
    body.write_text('{"signature_name": "matrix", "instances": [[1, 2], [3, 4]]}')
    assert 0 == ask(name="echo", signature="matrix", input=[str(body)])[0]


def test_a_body_file_is_sent_as_it_is(server, tmp_path):
    body = tmp_path / "body.json"
    body.write_text('{ "inputs":   [1.5] }')
    assert b'{ "inputs":   [1.5] }' == target_for_model("half", url=server.rest, inputs=[str(body)]).body
    request = protos.load("apis.predict_pb2").PredictRequest.FromString(
        target_for_model("half", grpc=server.grpc, inputs=[str(body)]).body
    )
    assert [1.5] == tensor_proto.decode(request.inputs["x"], "x").tolist()


def test_names_that_do_not_exist(ask):
    with pytest.raises(PipelineError, match="absent"):
        ask(name="absent")
    with pytest.raises(UsageError, match=r"(?s)no signature 'other'.*Expected: one of classify"):
        ask(signature="other")
    with pytest.raises(UsageError, match="do not fit"):
        ask(name="echo", signature="pair", input=["number=[1, 2]", "other=3"])


def test_usage(ask, tmp_path):
    for wrong in ({"rate": -1.0}, {"rate": 1.0, "concurrency": 2}, {"rows": 0}, {"timeout": 0.0}):
        with pytest.raises(UsageError, match="Expected: "):
            ask(**wrong)
    with pytest.raises(UsageError, match="token"):
        ask(token_file=str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="of no use without TLS"):
        ask(ca=str(tmp_path / "ca.pem"))


def _signature(**inputs):
    return Signature("s", "", inputs, {}, {})


def _info(name, shape):
    known = {dtypes.from_number(number).name: dtypes.from_number(number) for number in range(24)}
    return TensorInfo("t:0", known[name], shape)


def test_generated_values():
    declared = _signature(
        a=_info("float", (-1, -1, 3)), b=_info("int32", ()), c=_info("string", None), d=_info("bool", (2, -1))
    )
    arrays = request.input_arrays(declared, [], 4)
    assert {"a": (4, 1, 3), "b": (), "c": (4,), "d": (2, 1)} == {name: array.shape for name, array in arrays.items()}
    assert [request.GENERATED_TEXT.encode()] * 4 == arrays["c"].tolist()
    assert 0 <= arrays["b"] < 10
    assert len(np.unique(arrays["a"])) > 1
    again = request.input_arrays(declared, [], 4)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_one_given_row_is_repeated():
    declared = _signature(x=_info("float", (-1, 2)))
    assert [[1.0, 2.0]] * 3 == request.input_arrays(declared, ["[1, 2]"], 3)["x"].tolist()
    assert [[1.0, 2.0]] * 3 == request.input_arrays(declared, ["x=[1, 2]"], 3)["x"].tolist()
    assert [[5.0, 6.0]] == request.input_arrays(declared, ["[[5, 6]]"], 3)["x"].tolist()
    with pytest.raises(InvalidArgument, match="x is no float"):
        request.input_arrays(declared, ["one"], 1)


def test_an_unknown_model(server):
    with pytest.raises(NotFound):
        target_for_model("absent", url=server.rest)
