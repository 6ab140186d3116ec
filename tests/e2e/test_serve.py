"""The published model answers in-process, over REST and over gRPC with the same numbers."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import urllib.request

import grpc
import numpy as np
import pytest

from .conftest import free_port

pytestmark = pytest.mark.xdist_group("digits")


@pytest.fixture(scope="module")
def served(digits):
    rest, rpc = free_port(), free_port()
    process = digits.keraspipe.start("serve", "--rest-port", str(rest), "--grpc-port", str(rpc))
    lines = [process.stdout.readline() for _ in range(3)]
    assert "digits (version 1)" in lines[0], process.stderr.read()
    yield f"http://127.0.0.1:{rest}", f"127.0.0.1:{rpc}"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_predict_gives_the_same_numbers_everywhere(digits, served, digit_image):
    url, address = served
    ask = ("predict", "digits", digit_image, "--json")
    local = digits.keraspipe(*ask)
    rest = digits.keraspipe(*ask, "--url", url)
    rpc = digits.keraspipe(*ask, "--grpc", address)
    assert "0" == local.json["predictions"][0]["label"]
    assert local.json == rpc.json
    assert "0" == rest.json["predictions"][0]["label"]
    expected = local.json["predictions"][0]["probabilities"]
    np.testing.assert_allclose(expected, rest.json["predictions"][0]["probabilities"], atol=1e-7)


def test_curl_with_a_png(served, digit_image):
    body = {"instances": [{"image_bytes": {"b64": base64.b64encode(digit_image.read_bytes()).decode()}}]}
    if shutil.which("curl"):
        command = ["curl", "-sf", "-d", json.dumps(body), f"{served[0]}/v1/models/digits:predict"]
        text = subprocess.run(command, capture_output=True, check=True).stdout
    else:
        request = urllib.request.Request(f"{served[0]}/v1/models/digits:predict", json.dumps(body).encode())
        text = urllib.request.urlopen(request).read()
    assert "0" == json.loads(text)["predictions"][0]["label"]


def test_a_plain_tensorflow_serving_client(served, digit_image):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "digits"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([digit_image.read_bytes()] * 3))
    with grpc.insecure_channel(served[1]) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=20)
    assert tf.make_ndarray(answer.outputs["label"]).tolist() == [b"0"] * 3
    assert 1 == answer.model_spec.version.value


def test_an_image_of_another_size_is_refused_in_words(digits, tmp_path):
    from PIL import Image

    path = tmp_path / "large.png"
    Image.new("L", (28, 28)).save(path)
    answer = digits.keraspipe("predict", "digits", path)
    assert 1 == answer.code
    assert "[28,28,1] is not compatible with expected shape [8,8,1]" in answer.err
    assert "{{" not in answer.err
    assert "Traceback" not in answer.err


def test_the_dashboard_opens_mlflow(digits):
    port = free_port()
    process = digits.keraspipe.start("dashboard", "--port", str(port))
    try:
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        assert 200 == urllib.request.urlopen(f"http://127.0.0.1:{port}/health").status
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
