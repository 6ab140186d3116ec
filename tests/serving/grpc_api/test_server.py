"""The gRPC API with the plain stubs of tensorflow-serving-api."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


@pytest.fixture(scope="module")
def channel(server):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc, options=options) as opened:
        yield opened


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _request(name, signature="", output_filter=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def _examples(request, signature, *values):
    request.model_spec.name = "half"
    request.model_spec.signature_name = signature
    for value in values:
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return request


def test_predict(prediction):
    reply = prediction.Predict(_request("half", x=np.float32([2, 3])), timeout=30)
    assert [4.0, 4.5] == list(reply.outputs["y"].float_val)
    assert ("half", "serving_default", 2) == (
        reply.model_spec.name,
        reply.model_spec.signature_name,
        reply.model_spec.version.value,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "float16"])
def test_types(prediction, dtype):
    value = np.array([[0, 1], [2, 3]]).astype(dtype)
    reply = prediction.Predict(_request("echo", dtype, x=value), timeout=30)
    np.testing.assert_array_equal(value, tf.make_ndarray(reply.outputs["y"]))


def test_output_filter(prediction):
    inputs = {"number": np.float32([[1, 2]]), "text": [b"\xff"]}
    reply = prediction.Predict(_request("echo", "pair", ["text"], **inputs), timeout=30)
    assert {"text": [b"\xff"]} == {key: list(value.string_val) for key, value in reply.outputs.items()}


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (_request(""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (_request("nope"), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (_request("half", "nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
        (
            _request("half"),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (_request("half", z=1.0), "INVALID_ARGUMENT", "Signature input alias: x(feed name: "),
        (_request("half", x=True), "INVALID_ARGUMENT", "Expects arg[0] to be float but bool is provided"),
        (
            _request("half", output_filter=["z"], x=1.0),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        (
            _request("half", output_filter=["y", "y"], x=1.0),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: y",
        ),
    ],
)
def test_errors(prediction, request_, code, text):
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(request_, timeout=30)
    assert (code, True) == (caught.value.code().name, caught.value.details().startswith(text)), caught.value.details()


def test_long_error_texts_are_cut(prediction):
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(_request("half", output_filter=["z" * 3000], x=1.0), timeout=30)
    assert 1024 + len("...TRUNCATED") == len(caught.value.details())


def test_status(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "echo"
    reply = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=30)
    assert [(7, 30, 0)] == [(one.version, one.state, one.status.error_code) for one in reply.model_version_status]


def test_metadata(prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half"
    reply = prediction.GetModelMetadata(request, timeout=30)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    reply.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "classify", "regress"} <= set(signatures.signature_def)
    assert 2 == reply.model_spec.version.value


def test_classify_regress_and_both(prediction):
    reply = prediction.Classify(_examples(classification_pb2.ClassificationRequest(), "classify", 2.0), timeout=30)
    assert [("4.0", 4.0)] == [(one.label, one.score) for one in reply.result.classifications[0].classes]
    reply = prediction.Regress(_examples(regression_pb2.RegressionRequest(), "regress", 2.0, 4.0), timeout=30)
    assert [4.0, 5.0] == [one.value for one in reply.result.regressions]


def test_multi_inference(prediction):
    request = inference_pb2.MultiInferenceRequest()
    for signature in ("regress", "classify"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{signature}")
        task.model_spec.name, task.model_spec.signature_name = "half", signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(2.0)
    reply = prediction.MultiInference(request, timeout=30)
    assert 4.0 == reply.results[0].regression_result.regressions[0].value
    assert 4.0 == reply.results[1].classification_result.classifications[0].classes[0].score


def test_large_message(prediction):
    value = np.zeros(16 * 2**20, dtype=np.float32)
    reply = prediction.Predict(_request("echo", x=value), timeout=60)
    assert value.size == len(reply.outputs["y"].float_val)


def test_no_session_service(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")(b"", timeout=30)
    assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()
