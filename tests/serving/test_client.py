"""The clients against a real server, and without one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from serving.client import GrpcClient, RestClient
from serving.clients.retry import ATTEMPTS, retried
from serving.errors import Code, FailedPrecondition, InvalidArgument, NotFound, ServingError, Unavailable


@pytest.fixture(params=["rest", "grpc"])
def client(request, server):
    with RestClient(server.rest) if request.param == "rest" else GrpcClient(server.grpc) as opened:
        yield opened


def test_predict(client):
    found = client.predict("half", {"x": np.float32([2, 3])})
    assert ({"y"}, np.float32, [4.0, 4.5]) == (set(found), found["y"].dtype, found["y"].tolist())


def test_lists_take_the_declared_type(client):
    assert [1.0, 2.0] == client.predict("echo", {"x": [1, 2]}, signature="float64")["y"].tolist()
    assert np.uint8 == client.predict("echo", {"x": [1, 2]}, signature="uint8")["y"].dtype


def test_bytes_and_text(client):
    found = client.predict("echo", {"number": np.ones((2, 2), np.float32), "text": [b"\xff\x00", "é"]}, "pair")
    assert [b"\xff\x00", "é".encode()] == found["raw_bytes"].tolist() == found["text"].tolist()
    assert [2.0, 2.0] == found["sum"].tolist()


def test_one_value_of_bytes(client):
    assert b"hi" == client.predict("echo", {"x": b"hi"}, signature="string")["y"][()]


def test_infinite_numbers(client):
    values = np.float32([np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(values, client.predict("echo", {"x": values})["y"])


def test_version(client):
    assert [4.0] == client.predict("half", {"x": np.float32([2])}, version=2)["y"].tolist()
    with pytest.raises(NotFound, match=r"^Servable not found for request: Specific\(half, 1\)$"):
        client.predict("half", {"x": np.float32([2])}, version=1)


def test_status(client):
    assert [(2, "AVAILABLE", "")] == [(one.version, one.state, one.error) for one in client.status("half")]
    with pytest.raises(NotFound, match=r"^Could not find any versions of model nope$"):
        client.status("nope")


def test_metadata(client):
    signature = client.metadata("echo")["pair"]
    assert {
        "number": ("float", (-1, 2)),
        "text": ("string", (-1,)),
    } == {name: (info.dtype.name, info.shape) for name, info in signature.inputs.items()}


def test_typed_errors(client):
    with pytest.raises((InvalidArgument, FailedPrecondition)) as caught:
        client.predict("half", {"x": np.float32([1])}, signature="nope")
    assert "nope" in caught.value.message
    with pytest.raises(InvalidArgument) as caught:
        client.predict("echo", {"x": np.ones((1, 3), np.float32)}, signature="matrix")
    assert Code.INVALID_ARGUMENT is caught.value.code


@pytest.mark.parametrize("make", [lambda: RestClient("http://127.0.0.1:9"), lambda: GrpcClient("127.0.0.1:9")])
def test_no_server(make):
    with (
        make() as client,
        pytest.raises(Unavailable, match=r"does not answer.[\s\S]*Received: [\s\S]*Next: start one"),
    ):
        client.status("half")


def test_importing_the_clients_is_light():
    code = (
        "import sys, serving.client, serving.options; "
        "print([m for m in ('tensorflow', 'grpc', 'requests') if m in sys.modules])"
    )
    assert "[]\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_messages_come_without_tensorflow_and_leave_it_whole():
    code = (
        "import sys; from serving.wire import protos; protos.load('apis.predict_pb2').PredictRequest()\n"
        "assert 'tensorflow' not in sys.modules\n"
        "import tensorflow as tf; from tensorflow.core.framework import tensor_pb2\n"
        "print(float(tf.add(1.0, 2.0)), tf.make_tensor_proto(1.0).float_val[0])"
    )
    assert (
        "3.0 1.0\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


def test_only_unavailable_is_tried_again():
    pauses, calls = [], []

    def away(left_s):
        calls.append(left_s)
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        retried(away, 60.0, pauses.append)
    assert (len(calls), len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)
    assert pauses == sorted(pauses) or max(pauses) < 1.0

    def wrong(left_s):
        calls.append(left_s)
        raise ServingError("wrong", Code.INTERNAL)

    with pytest.raises(ServingError, match="wrong"):
        retried(wrong, 60.0, pauses.append)
    assert len(calls) == ATTEMPTS + 1


def test_the_second_try_answers():
    answers = iter([Unavailable("away"), "here"])

    def call(_left_s):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert "here" == retried(call, 60.0, lambda _pause: None)


def test_the_time_limit_ends_the_tries():
    pauses = []
    with pytest.raises(Unavailable):
        retried(lambda _left: (_ for _ in ()).throw(Unavailable("away")), 0.0, pauses.append)
    assert [] == pauses
