"""A model in-process: the numbers that the server gives."""

from __future__ import annotations

import numpy as np
import pytest

from serving.client.client import Client
from serving.core.model import LoadedModel
from serving.errors import FailedPrecondition, InvalidArgument, NotFound


@pytest.fixture(scope="module")
def linear(saved):
    return LoadedModel(saved / "linear_2")


@pytest.fixture(scope="module")
def echo(saved):
    return LoadedModel(saved / "echo")


def test_same_numbers_as_the_server(linear, server):
    values = np.linspace(-3, 3, 50, dtype=np.float32)
    with Client(server.rest) as client:
        served = client.predict("half", {"x": values})
    np.testing.assert_array_equal(served["y"], linear.predict("", {"x": values})["y"])


def test_signatures(linear):
    signature = linear.signatures["serving_default"]
    assert ("float", (-1,)) == (signature.inputs["x"].dtype.name, signature.inputs["x"].shape)
    assert ["y"] == list(signature.outputs)


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("float32", [1, 2]),
        ("int32", 3),
        ("string", [["a"], ["b"]]),
        ("bool", [True]),
        ("uint8", [1]),
        ("float16", [0.5]),
    ],
)
def test_plain_values(echo, signature, value):
    found = echo.predict(signature, {"x": value})["y"].tolist()
    expected = [[b"a"], [b"b"]] if signature == "string" else value
    assert expected == found


def test_numpy_text(echo):
    assert [b"a", b"bc"] == echo.predict("string", {"x": np.array(["a", "bc"])})["y"].tolist()


@pytest.mark.parametrize(
    ("signature", "inputs", "error", "text"),
    [
        ("nope", {}, FailedPrecondition, 'Serving signature key "nope" not found.'),
        ("int32", {"x": [0.5]}, InvalidArgument, "Expected values of type int32. Received: float64"),
        ("string", {"x": [1]}, InvalidArgument, "Expected str or bytes. Received: int"),
        ("float32", {"x": [[1], [2, 3]]}, InvalidArgument, "Expected an evenly nested list of float"),
        ("matrix", {"x": [[1.0]]}, InvalidArgument, "Matrix size-incompatible"),
    ],
)
def test_errors(echo, signature, inputs, error, text):
    with pytest.raises(error, match=text):
        echo.predict(signature, inputs)


def test_no_model_there(tmp_path):
    with pytest.raises(NotFound, match=r"Could not find SavedModel .pb or .pbtxt at supplied export directory path"):
        LoadedModel(tmp_path)


def test_the_fallback_without_the_private_call_gives_the_same(saved, monkeypatch):
    import tensorflow as tf

    monkeypatch.delattr(tf.compat.v1.Session.__mro__[1], "_make_callable_from_options")
    model = LoadedModel(saved / "linear_2")
    assert not hasattr(model._engine._session, "_make_callable_from_options")
    assert [4.0, 4.5] == model.predict("", {"x": [2.0, 3.0]})["y"].tolist()
    with pytest.raises(InvalidArgument):
        LoadedModel(saved / "echo").predict("matrix", {"x": [[1.0]]})


def test_the_fast_call_exists(linear):
    assert hasattr(linear._engine._session, "_make_callable_from_options")
