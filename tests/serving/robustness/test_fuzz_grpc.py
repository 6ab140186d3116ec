"""Hostile messages over gRPC: each is answered with a code that TensorFlow Serving could give."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.wire import protos

UNFORESEEN = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}
COUNTS = [pytest.param(1, id="some"), pytest.param(6, id="many", marks=pytest.mark.slow)]
METHODS = {
    "PredictionService/Predict": ("predict", "PredictRequest"),
    "PredictionService/Classify": ("classification", "ClassificationRequest"),
    "PredictionService/Regress": ("regression", "RegressionRequest"),
    "PredictionService/MultiInference": ("inference", "MultiInferenceRequest"),
    "PredictionService/GetModelMetadata": ("get_model_metadata", "GetModelMetadataRequest"),
    "ModelService/GetModelStatus": ("get_model_status", "GetModelStatusRequest"),
}
INPUTS = {
    "half": ["serving_default", "classify", "regress", ""],
    "echo": ["float32", "string", "pair", "matrix", "bool"],
}
SIZES = [0, 1, 2, 3, -1, 7, 64, 2**24, 2**31, 2**32 + 1, 2**40, 2**62, -(2**63), 2**63 - 1]
NAMES = ["x", "inputs", "number", "text", "", "y", "é", "x" * 3000]
TEXTS = ["", "half", "echo", "half\0", "x" * 5000, "\u202e", "%2F", "\n"]


@pytest.fixture(scope="module")
def call(hostile):
    """Sends bytes to a method and gives the code of the answer."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(hostile.grpc, options=options) as channel:

        def send(method, data, timeout=60):
            try:
                channel.unary_unary(f"/tensorflow.serving.{method}")(data, timeout=timeout)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        yield send


def _message(module, kind):
    return getattr(protos.load(f"apis.{module}_pb2"), kind)()


@st.composite
def model_specs(draw, spec):
    model = draw(st.sampled_from(["half", "half", "echo", "echo", *TEXTS]))
    spec.name = model
    spec.signature_name = draw(st.sampled_from([*INPUTS.get(model, [""]), *TEXTS[:4]]))
    choice = draw(st.integers(0, 5))
    if choice == 0:
        spec.version.value = draw(st.sampled_from([0, 2, 7, -1, 2**63 - 1]))
    elif choice == 1:
        spec.version_label = draw(st.sampled_from(TEXTS))


@st.composite
def tensors(draw, tensor):
    """Any type, shape and content, mostly not fitting each other."""
    tensor.dtype = draw(st.one_of(st.sampled_from([1, 7, 10]), st.integers(0, 30), st.sampled_from([101, 1000, -1])))
    for size in draw(st.lists(st.sampled_from(SIZES), max_size=5)) or [1] * draw(st.sampled_from([0, 1, 64, 255, 300])):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_shape.unknown_rank = draw(st.sampled_from([False, False, False, True]))
    if draw(st.booleans()):
        tensor.tensor_content = draw(st.binary(max_size=40))
    tensor.float_val.extend(draw(st.lists(st.floats(width=32), max_size=3)))
    tensor.int_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)))
    tensor.half_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=2)))
    tensor.string_val.extend(draw(st.lists(st.binary(max_size=5), max_size=3)))
    tensor.bool_val.extend(draw(st.lists(st.booleans(), max_size=2)))
    tensor.scomplex_val.extend(draw(st.lists(st.floats(width=32), max_size=3)))
    tensor.version_number = draw(st.sampled_from([0, 0, 1, -1]))


@st.composite
def predicts(draw):
    request = _message("predict", "PredictRequest")
    if draw(st.integers(0, 9)):
        draw(model_specs(request.model_spec))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        draw(tensors(request.inputs[name]))
    request.output_filter.extend(draw(st.lists(st.sampled_from(["y", "y", "sum", "", "text"]), max_size=2)))
    return "PredictionService/Predict", request


@st.composite
def inferences(draw):
    method = draw(st.sampled_from(["Classify", "Regress", "MultiInference"]))
    request = _message(*METHODS[f"PredictionService/{method}"])
    if method == "MultiInference":
        for _ in range(draw(st.integers(0, 3))):
            task = request.tasks.add(method_name=draw(st.sampled_from(["tensorflow/serving/regress", "x", ""])))
            draw(model_specs(task.model_spec))
    elif draw(st.integers(0, 9)):
        draw(model_specs(request.model_spec))
    kind = draw(st.sampled_from(["none", "list", "context"]))
    if kind != "none":
        group = request.input.example_list if kind == "list" else request.input.example_list_with_context
        group.SetInParent()
        for _ in range(draw(st.integers(0, 3))):
            _fill(draw, group.examples.add())
        if kind == "context":
            _fill(draw, group.context)
    return f"PredictionService/{method}", request


def _fill(draw, example):
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        feature = example.features.feature[name]
        feature.float_list.value.extend(draw(st.lists(st.floats(width=32), max_size=2)))
        if draw(st.booleans()):
            feature.bytes_list.value.extend(draw(st.lists(st.binary(max_size=3), max_size=2)))


@st.composite
def tellings(draw):
    method = draw(st.sampled_from(["PredictionService/GetModelMetadata", "ModelService/GetModelStatus"]))
    request = _message(*METHODS[method])
    if draw(st.integers(0, 9)):
        draw(model_specs(request.model_spec))
    if method.endswith("Metadata"):
        request.metadata_field.extend(draw(st.lists(st.sampled_from(["signature_def", "", *TEXTS]), max_size=2)))
    return method, request


@st.composite
def messages(draw):
    """A method and bytes: a message, changed here and there, or no message at all."""
    if not draw(st.integers(0, 7)):
        return draw(st.sampled_from([*METHODS, "PredictionService/None", "SessionService/SessionRun"])), draw(
            st.binary()
        )
    method, request = draw(st.one_of(predicts(), predicts(), inferences(), tellings()))
    data = bytearray(request.SerializeToString())
    if draw(st.booleans()):
        data += draw(st.sampled_from([b"", b"\xfa\x3f\x01a", b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x00" * 500]))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3])) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return method, bytes(data)


@pytest.mark.parametrize("times", COUNTS)
def test_whatever_is_sent_is_answered(hostile, call, is_well, times):
    @settings(max_examples=500 * times, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(messages())
    def send(message):
        assert call(*message) not in UNFORESEEN

    send()
    is_well(hostile)


@pytest.mark.parametrize("dtype", [1, 2, 3, 7, 9, 10, 19])
@pytest.mark.parametrize("sizes", [[2**40], [2**32], [2**16, 2**16], [2**62, 2**62, 0], [2**62, 0], [1] * 300])
@pytest.mark.parametrize("filled", [0, 1, 2])
def test_a_few_bytes_cannot_ask_for_all_memory(call, dtype, sizes, filled):
    request = _message("predict", "PredictRequest")
    request.model_spec.name, request.model_spec.signature_name = "echo", "float32"
    tensor = request.inputs["x"]
    tensor.dtype = dtype
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend([1.0] * filled)
    tensor.string_val.extend([b"a"] * filled)
    tensor.int64_val.extend([1] * filled)
    assert call("PredictionService/Predict", request.SerializeToString()) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_list_of_models_that_is_none_changes_nothing(hostile, call, is_well):
    for data in (b"", b"\xff", b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x06\x0a\x04\x0a\x02\x0a\x00"):
        code = call("ModelService/HandleReloadConfigRequest", data)
        assert code not in {grpc.StatusCode.OK, *UNFORESEEN}, data
    is_well(hostile)


def test_large_counts(call, hostile, is_well):
    request = _message("predict", "PredictRequest")
    request.model_spec.name, request.model_spec.signature_name = "echo", "string"
    request.inputs["x"].dtype = 7
    request.inputs["x"].string_val.extend([b""] * 500_000)
    request.inputs["x"].tensor_shape.dim.add(size=500_000)
    unlimited = request.SerializeToString()
    assert call("PredictionService/Predict", unlimited) in {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    for number in range(5000):
        request.inputs[f"k{number}"].dtype = 1
    assert call("PredictionService/Predict", request.SerializeToString()) == grpc.StatusCode.INVALID_ARGUMENT
    is_well(hostile)
