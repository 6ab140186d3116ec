"""Large messages are read in another process, to the same arrays, Examples and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.grpc_api import contents, servicer
from serving.wire import protos, tensor_proto
from serving.wire.proto_fields import list_fields, read_varint

pytestmark = pytest.mark.process
PREFIX = "/tensorflow.serving.PredictionService/"
PREDICT = "apis.predict_pb2.PredictRequest"
CLASSIFY = "apis.classification_pb2.ClassificationRequest"


def outcome(models, process, method, body):
    """What a message is read to, or why not."""
    try:
        prepared = servicer.predict_methods(models, process=process)[PREFIX + method](body)
        if callable(prepared):
            prepared = prepared(math.inf)
    except ServingError as error:
        return error.message.partition(":")[0], error.code
    prepared.lease.release()
    arrays = [(array.dtype, array.shape, array.tolist()) for array in prepared.fetch.arrays]
    return prepared.signature, prepared.examples, prepared.fetch.feeds, repr(arrays)


def predict(model="echo", signature="float32", **inputs):
    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        tensor_proto.encode(np.asarray(value), request.inputs[name])
    return request.SerializeToString()


def infer(kind, model="half", signature="", count=2):
    module, _, name = kind.rpartition(".")
    request = getattr(protos.load(module), name)()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for value in range(count):
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return request.SerializeToString()


MESSAGES = {
    "numbers": ("Predict", predict(x=np.float32([1.5, -2]))),
    "strings": ("Predict", predict(signature="string", x=np.array([b"a", b"", b"\xff"], object))),
    "two inputs": ("Predict", predict(signature="pair", number=np.float32([[1, 2]]), text=np.array([b"a"], object))),
    "wrong name": ("Predict", predict(y=np.float32([1]))),
    "too many": ("Predict", predict(x=np.float32([1]), y=np.float32([1]))),
    "wrong type": ("Predict", predict(x=np.int64([1]))),
    "no model": ("Predict", predict("none", x=np.float32([1]))),
    "no signature": ("Predict", predict(signature="none", x=np.float32([1]))),
    "nothing": ("Predict", b""),
    "no message": ("Predict", b"\xff\xff"),
    "cut off": ("Predict", predict(x=np.float32([1.5, -2]))[:-3]),
    "no text": ("Predict", predict(x=np.float32([1])).replace(b"\x0a\x01x", b"\x0a\x01\xff")),
    "classify": ("Classify", infer(CLASSIFY, signature="classify")),
    "no examples": ("Classify", infer(CLASSIFY, signature="classify", count=0)),
    "wrong signature": ("Classify", infer(CLASSIFY, signature="none")),
    "regress": ("Regress", infer("apis.regression_pb2.RegressionRequest", signature="regress")),
    "no task": ("MultiInference", b""),
}


@pytest.mark.parametrize(("method", "body"), MESSAGES.values(), ids=MESSAGES)
def test_both_ways_read_alike(models, process, method, body, monkeypatch):
    alone = outcome(models, None, method, body)
    monkeypatch.setattr(servicer, "is_heavy", lambda *_: True)
    assert alone == outcome(models, process, method, body)
    assert 0 == models.versions("half")[1].in_flight == models.versions("echo")[1].in_flight


def test_what_is_heavy():
    assert not contents.is_heavy(PREDICT, predict(x=np.zeros(1000, np.float32)))
    assert not contents.is_heavy(PREDICT, predict(x=np.array([bytes(10**6)], object)))
    assert contents.is_heavy(PREDICT, predict(x=np.array([b""] * 100_000, object)))
    assert contents.is_heavy(PREDICT, predict(x=np.arange(100_000)))
    assert contents.is_heavy(PREDICT, b"\xff" * 10**6)
    assert contents.is_heavy(CLASSIFY, infer(CLASSIFY, count=10_000))
    request = protos.load("apis.predict_pb2").PredictRequest()
    tensor_proto.encode(np.zeros(10**6, np.float32), request.inputs["x"], as_content=True)
    assert not contents.is_heavy(PREDICT, request.SerializeToString())


def test_a_message_of_many_parts_is_refused_unread(models, process):
    body = b"\x12\x00" * 3_000_000
    message, _ = outcome(models, process, "Predict", body)
    assert "The request is no PredictRequest" == message


def test_a_number_without_an_end_is_refused_at_once():
    with pytest.raises(ValueError, match="without an end"):
        read_varint(b"\xff" * 10**6, 0)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.dictionaries(st.text(), st.binary()))
def test_fields_are_those_of_the_parser(numbers, inputs):
    kind = protos.load("apis.predict_pb2").PredictRequest
    request = kind()
    for name, content in inputs.items():
        request.inputs[name].string_val.append(content)
    request.inputs["n"].int64_val.extend(numbers)
    body = request.SerializeToString()
    fields = list(list_fields(body))
    assert body == b"".join(body[field.start : field.end] for field in fields)
    assert set(request.inputs) == {contents._entry_name(body, field) for field in fields}
