"""Both clients over both transports against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.errors import Code, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, Unimplemented


class Blocking:
    """An AsyncClient whose methods are waited for, so that one test fits both kinds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._runner = asyncio.Runner()

    def __getattr__(self, name):
        return lambda *args, **options: self._runner.run(getattr(self._client, name)(*args, **options))

    def end(self):
        self.close()
        self._runner.close()


@pytest.fixture(params=["rest", "grpc"])
def address(request, server):
    return getattr(server, request.param)


@pytest.fixture(params=["sync", "async"])
def client(request, address):
    if request.param == "sync":
        with Client(address) as opened:
            yield opened
    else:
        blocking = Blocking(AsyncClient(address))
        yield blocking
        blocking.end()


def test_predict(client):
    found = client.predict("half", {"x": np.float32([2, 3])})
    assert ({"y"}, np.float32, [4.0, 4.5]) == (set(found), found["y"].dtype, found["y"].tolist())


def test_the_one_input_needs_no_name(client):
    assert [4.0] == client.predict("half", [2.0])["y"].tolist()


def test_lists_take_the_declared_type(client):
    assert [1.0, 2.0] == client.predict("echo", {"x": [1, 2]}, signature="float64")["y"].tolist()
    assert np.uint8 == client.predict("echo", {"x": [1, 2]}, signature="uint8")["y"].dtype


def test_bytes_and_text(client):
    inputs = {"number": np.ones((2, 2), np.float32), "text": [b"\xff\x00", "é"]}
    found = client.predict("echo", inputs, signature="pair")
    assert [b"\xff\x00", "é".encode()] == found["raw_bytes"].tolist() == found["text"].tolist()
    assert [2.0, 2.0] == found["sum"].tolist()


def test_one_value_of_bytes(client):
    assert b"hi" == client.predict("echo", {"x": b"hi"}, signature="string")["y"][()]


def test_a_path_stands_for_its_bytes_and_text_for_itself(client, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG\x00\xff")
    found = client.predict("echo", {"x": [file, str(file)]}, signature="string")["y"]
    assert [b"\x89PNG\x00\xff", str(file).encode()] == found.tolist()


def test_infinite_numbers(client):
    values = np.float32([np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(values, client.predict("echo", {"x": values})["y"])


def test_no_rows(client):
    found = client.predict("echo", {"x": []})["y"]
    assert ((0,), np.float32) == (found.shape, found.dtype)
    assert (0,) == client.predict("echo", {"x": []}, signature="string")["y"].shape


def test_version(client):
    assert [4.0] == client.predict("half", {"x": np.float32([2])}, version=2)["y"].tolist()
    with pytest.raises(NotFound, match=r"^Servable not found for request: Specific\(half, 1\)$"):
        client.predict("half", {"x": np.float32([2])}, version=1)


def test_label(client):
    with pytest.raises(InvalidArgument, match=r"^Unrecognized servable version label: stable$"):
        client.predict("half", {"x": [2.0]}, label="stable")


def test_output_filter(client):
    inputs = {"number": [[1.0, 2.0]], "text": ["a"]}
    assert {"text", "sum"} == set(client.predict("echo", inputs, signature="pair", outputs=["text", "sum"]))
    with pytest.raises(InvalidArgument, match=r"Expected: one or more of raw_bytes, sum, text\nReceived: 'z'\nNext: "):
        client.predict("echo", inputs, signature="pair", outputs=["z"])


def test_status(client):
    assert [(2, "AVAILABLE", "")] == [(one.version, one.state, one.error) for one in client.status("half")]
    assert [2] == [one.version for one in client.status("half", version=2)]
    with pytest.raises(NotFound, match=r"^Could not find any versions of model nope$"):
        client.status("nope")


def test_wait_until_ready(client):
    assert [7] == [one.version for one in client.wait_until_ready("echo", 20)]
    with pytest.raises(DeadlineExceeded, match=r"nope is not ready[\s\S]*Received: Could not find any versions of mod"):
        client.wait_until_ready("nope", 0.5)


def test_metadata(client):
    signature = client.metadata("echo")["pair"]
    assert {
        "number": ("float", (-1, 2)),
        "text": ("string", (-1,)),
    } == {name: (info.dtype.name, info.shape) for name, info in signature.inputs.items()}


def _serialized(value):
    import tensorflow as tf

    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString()


def test_classify(client):
    expected = [[("4.0", 4.0)], [("3.0", np.float32(3.05))]]
    assert expected == client.classify("half", [{"x": 2.0}, {"x": np.float32([0.1])}], signature="classify")
    assert expected[:1] == client.classify("half", [_serialized(2.0)], signature="classify")


def test_regress(client):
    found = client.regress("half", [{"x": 2.0}, {"x": [4.0]}], signature="regress")
    assert (np.float32, [4.0, 5.0]) == (found.dtype, found.tolist())


def test_context_is_shared_and_examples_go_first(client):
    found = client.regress("half", [{}, {"x": 4.0}], context={"x": 2.0}, signature="regress")
    assert [4.0, 5.0] == found.tolist()


def test_examples_that_are_none(client):
    for wrong in ([], {"x": 2.0}, [3]):
        with pytest.raises(InvalidArgument, match=r"The examples cannot be sent.[\s\S]*Expected: [\s\S]*Next: "):
            client.regress("half", wrong, signature="regress")


def test_typed_errors(client):
    with pytest.raises((InvalidArgument, FailedPrecondition)) as caught:
        client.predict("half", {"x": np.float32([1])}, signature="nope")
    assert "nope" in caught.value.message
    with pytest.raises(InvalidArgument) as caught:
        client.predict("echo", {"x": np.ones((1, 3), np.float32)}, signature="matrix")
    assert Code.INVALID_ARGUMENT is caught.value.code


def test_inputs_that_do_not_fit_are_not_sent(client):
    for wrong in ({}, {"z": [1.0]}, {"x": [1.0], "z": [1.0]}):
        with pytest.raises(InvalidArgument, match=r"Expected: x\nReceived: .*\nNext: pass every input under its name"):
            client.predict("half", wrong)
    with pytest.raises(InvalidArgument, match=r"Input 'x' cannot be sent.\nExpected: .* int32 .*\nReceived: 1.5 .*"):
        client.predict("echo", {"x": [1.5]}, signature="int32")


def test_a_model_that_is_not_there(client):
    with pytest.raises(NotFound, match=r"^Servable not found for request: Latest\(no/such:model\)$"):
        client.predict("no/such:model", {"x": [1.0]})


@pytest.mark.parametrize("target", [{"version": 1, "label": "a"}, {"version": -1}, {"version": "1"}, {"label": ""}])
def test_no_version(target):
    with Client("127.0.0.1:9") as client, pytest.raises(InvalidArgument, match=r"This names no model version\."):
        client.predict("half", [1.0], **target)


def test_half_goes_over_grpc_only(server):
    values = np.float16([1.5, -2])
    with Client(server.grpc) as client:
        assert values.tolist() == client.predict("echo", values, signature="float16")["y"].tolist()
    with Client(server.rest) as client, pytest.raises(Unimplemented, match=r"Received: half\nNext: use gRPC"):
        client.predict("echo", values, signature="float16")


def test_multi_inference(server):
    tasks = {"regress": "regress", "classify": "classify"}
    with Client(f"grpc://{server.grpc}") as client:
        found = client.multi_inference("half", [{"x": 2.0}], tasks)
    assert ([4.0], [[("4.0", 4.0)]]) == (found["regress"].tolist(), found["classify"])
    with Client(server.rest) as client, pytest.raises(Unimplemented, match=r"Next: use the gRPC address"):
        client.multi_inference("half", [{"x": 2.0}], tasks)


def test_large_arrays(client):
    values = np.random.default_rng(0).random((300, 1000), dtype=np.float32)
    np.testing.assert_array_equal(values, client.predict("echo", {"x": values})["y"])


def test_answers_may_be_written_into(client):
    found = client.predict("half", [2.0])["y"]
    found += 1
    assert [5.0] == found.tolist()


def test_an_async_client_in_one_loop_after_another_and_in_many_tasks(address):
    client = AsyncClient(address)

    async def ask():
        async with client:
            answers = await asyncio.gather(*(client.predict("half", [float(i)]) for i in range(20)))
        return [answer["y"].tolist()[0] for answer in answers]

    expected = [3 + i / 2 for i in range(20)]
    assert expected == asyncio.run(ask()) == asyncio.run(ask())


@pytest.mark.process
def test_importing_the_clients_is_light():
    code = (
        "import sys, serving, serving.options\n"
        "print([m for m in ('tensorflow', 'grpc', 'httpx', 'numpy') if m in sys.modules])\n"
        "serving.Client('127.0.0.1:9'), serving.AsyncClient\n"
        "print([m for m in ('tensorflow', 'httpx') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_ROOT).stdout
    assert "[]\n[]\n" == out


_ROOT = Path(__file__).parents[3]


def test_asking_needs_no_tensorflow(server):
    code = (
        "import sys; from serving import Client\n"
        "for address in sys.argv[1:]:\n"
        "    with Client(address) as client:\n"
        "        print(client.predict('half', [2.0])['y'], client.regress('half', [{'x': 2.0}], signature='regress'))\n"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, server.rest, server.grpc]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=_ROOT).stdout
    assert "[4.] [4.]\n[4.] [4.]\nFalse\n" == out


@pytest.mark.process
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
