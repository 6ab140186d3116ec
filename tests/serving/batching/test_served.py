"""Batching with TensorFlow Serving's parameters, over real sockets and both transports."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.wire import tensor_proto

LONG = 20_000_000  # microseconds: longer than requests that are sent together take to meet


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A model of odd signatures: any inner shape, no inputs, outputs without a batch dimension, two outputs."""
    import tensorflow as tf

    def signature(function, *specs):
        return tf.function(function, input_signature=list(specs))

    any_matrix = tf.TensorSpec([None, None, None], tf.float32, name="x")
    vector = tf.TensorSpec([None], tf.float32, name="x")
    module = tf.Module()
    module.count = tf.Variable(0.0)
    signatures = {
        "same": signature(lambda x: {"y": tf.identity(x)}, any_matrix),
        "text": signature(lambda x: {"y": tf.identity(x)}, tf.TensorSpec([None, None], tf.string, name="x")),
        "scalar": signature(lambda x: {"y": tf.reduce_sum(x)}, vector),
        "first": signature(lambda x: {"y": x[:1]}, vector),
        "counter": signature(lambda: {"y": module.count.read_value()}),
        "two": signature(lambda x: {"double": 2.0 * x, "half": x / 2.0}, vector),
        "size": signature(lambda x: {"y": 0.0 * x + tf.cast(tf.size(x), tf.float32)}, vector),
    }
    module.functions = list(signatures.values())
    path = tmp_path_factory.mktemp("shapes") / "1"
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def base(shapes, saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batching")
    shutil.copytree(shapes, folder / "shapes" / "1")
    shutil.copytree(saved / "linear_1", folder / "half" / "1")
    shutil.copytree(saved / "echo", folder / "echo" / "1")
    return folder


@contextlib.contextmanager
def _clients(running):
    with grpc.insecure_channel(running.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield {"REST": Rest(running), "GRPC": Rpc(channel)}


@pytest.fixture(scope="module")
def four(run_server, base):
    """Batches of four that wait for as long as it takes."""
    batching = {"max_batch_size": 4, "timeout_micros": LONG, "max_enqueued_batches": 100}
    with run_server(base, batching=batching) as running:
        yield running


OWN = {
    "padded": """max_batch_size { value: 8 } batch_timeout_micros { value: 1500000 } allowed_batch_sizes: 4
        allowed_batch_sizes: 8 pad_variable_length_inputs: true""",
    "split": """max_batch_size { value: 100 } max_execution_batch_size { value: 4 } max_enqueued_batches { value: 3 }
        enable_large_batch_splitting { value: true }""",
    "full": "max_batch_size { value: 2 } batch_timeout_micros { value: 40000000 } max_enqueued_batches { value: 1 }",
    "own": "max_batch_size { value: 4 } batch_timeout_micros { value: 20000000 } num_batch_threads { value: 3 }",
}


@pytest.fixture(scope="module")
def several(run_server, base, tmp_path_factory):
    """Models with batching parameters of their own, and one without."""
    folder = tmp_path_factory.mktemp("own")
    for name, parameters in OWN.items():
        source = {"padded": "shapes", "split": "echo"}.get(name, "half")
        shutil.copytree(base / source / "1", folder / name / "1")
        (folder / name / "1" / "batching_params.pbtxt").write_text(parameters)
    shutil.copytree(base / "echo" / "1", folder / "plain" / "1")
    with run_server(folder, per_model_batching=True, batching={}) as running:
        yield running


_STATUS = {400: "BAD", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


class Rest:
    """Predictions over REST: status name, and values by output or the error's text."""

    def __init__(self, running):
        self.url = running.rest

    def predict(self, model, signature, inputs, output_filter=()):
        assert not output_filter
        body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
        request = urllib.request.Request(f"{self.url}/v1/models/{model}:predict", data=body)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                outputs = json.loads(response.read())["outputs"]
                return "OK", outputs if isinstance(outputs, dict) else {"y": outputs}
        except urllib.error.HTTPError as error:
            return _STATUS[error.code], json.loads(error.read())["error"]


class Rpc:
    """The same over gRPC."""

    def __init__(self, channel):
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def predict(self, model, signature, inputs, output_filter=(), timeout=60):
        request = predict_pb2.PredictRequest(output_filter=output_filter)
        request.model_spec.name, request.model_spec.signature_name = model, signature
        for name, value in inputs.items():
            array = np.asarray(value)
            tensor_proto.encode(array.astype(object if array.dtype.kind in "SU" else np.float32), request.inputs[name])
        try:
            response = self.stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            known = {"INVALID_ARGUMENT": "BAD", "FAILED_PRECONDITION": "BAD"}
            return known.get(error.code().name, error.code().name), error.details()
        return "OK", {name: tensor_proto.decode(value, name).tolist() for name, value in response.outputs.items()}


@contextlib.contextmanager
def _runs(running):
    """Counts the session's runs, and what they were filled up with."""

    def read():
        with urllib.request.urlopen(f"{running.rest}/monitoring/prometheus/metrics", timeout=60) as response:
            page = response.read().decode()
        found = {}
        for key, name in {"runs": "wrapped_run_count", "rows": "processed_batch_size_sum"}.items():
            line = rf"^:tensorflow:serving:batching_session:{name}(?:{{[^}}]*}})? (\S+)$"
            numbers = re.findall(line, page, re.MULTILINE)
            found[key] = sum(map(float, numbers))
        return found

    before, counted = read(), {}
    yield counted
    counted.update({key: int(value - before[key]) for key, value in read().items()})


def _together(*calls):
    with ThreadPoolExecutor(len(calls)) as executor:
        return [future.result() for future in [executor.submit(call) for call in calls]]


@pytest.mark.parametrize("transports", [("REST", "REST"), ("GRPC", "GRPC"), ("REST", "GRPC")])
def test_concurrent_requests_share_one_run_and_get_their_own_rows(four, transports):
    with _clients(four) as clients, _runs(four) as counted:
        answers = _together(
            *(
                lambda kind=kind, start=start: clients[kind].predict("half", "", {"x": [start, start + 1]})
                for kind, start in zip(transports, (0.0, 10.0), strict=True)
            )
        )
    assert [("OK", {"y": [2.0, 2.5]}), ("OK", {"y": [7.0, 7.5]})] == answers
    assert {"runs": 1, "rows": 4} == counted


@pytest.mark.parametrize("kind", ["REST", "GRPC"])
def test_different_inner_shapes_without_padding(four, kind):
    with _clients(four) as clients:
        calls = [
            lambda side=side: clients[kind].predict("shapes", "same", {"x": np.ones((2, side, side)).tolist()})
            for side in (3, 4)
        ]
        answers = _together(*calls)
    assert {"BAD"} == {status for status, _ in answers}
    for _, text in answers:
        assert re.fullmatch(
            r"Tensors with name '\S+:0' from different tasks have different shapes and padding is turned off\. Set "
            r"pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            r"starting with the first dim\.",
            text,
        )


@pytest.mark.parametrize("kind", ["REST", "GRPC"])
@pytest.mark.parametrize(
    ("signature", "inputs", "text"),
    [
        ("float32", {"x": [1.0] * 5}, "Task size 5 is larger than maximum input batch size 4"),
        ("float32", {"x": 5.0}, "Batching Run() input tensors must have at least one dimension"),
        (
            "pair",
            {"number": [[1.0, 2.0]], "text": ["a", "b"]},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_refused_at_once(four, kind, signature, inputs, text):
    with _clients(four) as clients:
        assert ("BAD", text) == clients[kind].predict("echo", signature, inputs)


def test_a_signature_without_inputs(four):
    with _clients(four) as clients:
        assert ("BAD", "Batching Run() must have at least one input tensor") == clients["GRPC"].predict(
            "shapes", "counter", {}
        )


@pytest.mark.parametrize("kind", ["REST", "GRPC"])
@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("scalar", "Batched output tensor has 0 dimensions"),
        ("first", "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "),
    ],
)
def test_outputs_that_cannot_be_parted(four, kind, signature, text):
    with _clients(four) as clients:
        status, found = clients[kind].predict("shapes", signature, {"x": [1.0] * 4})
    assert ("BAD", True) == (status, found.startswith(text)), found


def test_filtered_outputs_have_a_queue_of_their_own(four):
    def ask(*wanted):
        return lambda: clients["GRPC"].predict("shapes", "two", {"x": [2.0, 4.0]}, wanted)

    with _clients(four) as clients, _runs(four) as counted:
        both, half, more, other = _together(ask(), ask("half"), ask(), ask("half"))
    assert ("OK", {"double": [4.0, 8.0], "half": [1.0, 2.0]}) == both == more
    assert ("OK", {"half": [1.0, 2.0]}) == half == other
    assert {"runs": 2, "rows": 8} == counted


def test_a_deadline_in_the_queue(run_server, base):
    batching = {"max_batch_size": 4, "timeout_micros": 4 * LONG}
    with run_server(base, batching=batching, rest_timeout_seconds=0.3) as running, _clients(running) as clients:
        late = "Run() timeout exceeded while waiting in batching queue"
        assert ("RESOURCE_EXHAUSTED", late) == clients["REST"].predict("half", "", {"x": [1.0]})
        status, _ = clients["GRPC"].predict("half", "", {"x": [1.0]}, timeout=0.3)
        assert status in {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}  # the server's clock was first, or the client's
        assert ("OK", {"y": [2.0] * 4}) == clients["GRPC"].predict("half", "", {"x": [0.0] * 4})


@pytest.mark.parametrize("kind", ["REST", "GRPC"])
def test_batches_are_padded_to_an_allowed_size_and_only_the_rows_come_back(several, kind):
    with _clients(several) as clients, _runs(several) as counted:
        assert ("OK", {"y": [4.0, 4.0, 4.0]}) == clients[kind].predict("padded", "size", {"x": [7.0, 8.0, 9.0]})
    assert {"runs": 1, "rows": 4} == counted


@pytest.mark.parametrize("kind", ["REST", "GRPC"])
def test_unequal_inner_shapes_are_padded_with_the_first_element(several, kind):
    with _clients(several) as clients, _runs(several) as counted:
        small, large = _together(
            lambda: clients[kind].predict("padded", "same", {"x": np.full((4, 1, 2), 5.0).tolist()}),
            lambda: clients[kind].predict("padded", "same", {"x": np.full((4, 2, 1), 7.0).tolist()}),
        )
    assert [("OK", np.full((4, 2, 2), value).tolist()) for value in (5.0, 7.0)] == [
        (status, outputs["y"]) for status, outputs in (small, large)
    ]
    assert {"runs": 1, "rows": 8} == counted


def test_text_is_padded_with_the_first_text(several):
    with _clients(several) as clients:
        short, long = _together(
            lambda: clients["GRPC"].predict("padded", "text", {"x": [["a"]] * 4}),
            lambda: clients["GRPC"].predict("padded", "text", {"x": [["b", "c"]] * 4}),
        )
    assert [("OK", {"y": [[b"a", b"a"]] * 4}), ("OK", {"y": [[b"b", b"c"]] * 4})] == [short, long]


def test_large_requests_are_split(several):
    with _clients(several) as clients:
        with _runs(several) as counted:
            rows = np.arange(10.0).tolist()
            assert ("OK", {"y": rows}) == clients["REST"].predict("split", "float32", {"x": rows})
        assert {"runs": 3, "rows": 10} == counted
        for kind in ("REST", "GRPC"):
            status, text = clients[kind].predict("split", "float32", {"x": [0.0] * 13})
            assert "UNAVAILABLE" == status
            assert "submitted is full; task size is 13 but scheduling capacity is only 12 (num_enqueued" in text


def test_a_full_queue(several):
    with _clients(several) as clients, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(clients["GRPC"].predict, "full", "", {"x": [0.0]})
        text = (
            "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued "
            "and max_enqueued_batches is 1"
        )
        end = time.monotonic() + 20
        while (found := clients["REST"].predict("full", "", {"x": [1.0, 1.0]})) == ("OK", {"y": [2.5, 2.5]}):
            assert time.monotonic() < end  # the other has not come yet
        assert ("UNAVAILABLE", text) == found == clients["GRPC"].predict("full", "", {"x": [1.0, 1.0]})
        assert ("OK", {"y": [2.5]}) == clients["REST"].predict("full", "", {"x": [1.0]})
        assert ("OK", {"y": [2.0]}) == waiting.result()


def test_only_models_with_parameters_are_batched(several):
    with _clients(several) as clients:
        with _runs(several) as counted:
            answers = _together(
                *[lambda: clients["GRPC"].predict("own", "", {"x": [1.0, 2.0]})] * 2,
                lambda: clients["REST"].predict("plain", "float32", {"x": [1.0] * 5000}),
                lambda: clients["REST"].predict("plain", "float32", {"x": 5.0}),
            )
        assert ["OK"] * 4 == [status for status, _ in answers]
        assert {"runs": 1, "rows": 4} == counted
        text = "Task size 5 is larger than maximum input batch size 4"
        assert ("BAD", text) == clients["REST"].predict("own", "", {"x": [1.0] * 5})


@pytest.mark.process
@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ("max_batch_size { value: 4 } allowed_batch_sizes: 2", "Last entry in allowed_batch_sizes must match"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
    ],
)
def test_parameters_that_contradict_each_other_end_the_start(base, tmp_path, parameters, text):
    (tmp_path / "batching").write_text(parameters)
    result = subprocess.run(
        [
            *[sys.executable, "-m", "serving", "--port=1", "--rest_api_port=0", "--enable_batching"],
            *["--model_name=half", f"--model_base_path={base / 'half'}"],
            f"--batching_parameters_file={tmp_path / 'batching'}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (255, True) == (result.returncode, text in result.stdout), result.stdout + result.stderr[-2000:]
