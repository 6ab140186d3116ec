"""A model in-process: the numbers that the server gives."""

from __future__ import annotations

import numpy as np
import pytest

from serving.client.client import Client
from serving.core import session
from serving.core.model import LoadedModel
from serving.core.session import CALLER_THREAD, THREAD_POOL, RunMode
from serving.core.work import RunArgs
from serving.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError
from serving.wire.strings import MANY, Strings, as_array


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


def test_the_fallback_without_the_private_calls_gives_the_same(saved, monkeypatch):
    import tensorflow as tf

    monkeypatch.delattr(tf.compat.v1.Session.__mro__[1], "_make_callable_from_options")
    monkeypatch.setattr("serving.core.session._shared_call", lambda *_: None)
    model = LoadedModel(saved / "linear_2")
    assert not hasattr(model._engine._session, "_make_callable_from_options")
    assert [4.0, 4.5] == model.predict("", {"x": [2.0, 3.0]})["y"].tolist()
    with pytest.raises(InvalidArgument):
        LoadedModel(saved / "echo").predict("matrix", {"x": [[1.0]]})


def test_all_ways_to_run_share_one_copy_of_the_graph(saved, monkeypatch):
    """A callable optimizes a copy of its own: the second and third request to a large model took seconds."""
    made = []
    make = session._callable_call
    monkeypatch.setattr(session, "_callable_call", lambda *given: made.append(given) or make(*given))
    model = LoadedModel(saved / "echo")
    modes = [CALLER_THREAD, THREAD_POOL, RunMode(in_caller=False, timeout_ms=64_000)]
    texts = np.array([b"a", b"bc"] * MANY, object)
    for given in (texts[:3], texts):
        for mode in modes:
            [values] = model.run(_args(model, given), mode)
            assert given.tolist() == as_array(values).tolist()
    assert not made
    packed = Strings.join(texts)
    for mode in modes:
        [values] = model.run(_args(model, packed), mode)
        assert texts.tolist() == as_array(values).tolist()
    assert 1 == len(made)


def _args(model, value):
    signature = model.signatures["string"]
    return RunArgs(signature.feeds, signature.fetches, [value])


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0)])
def test_packed_strings_run_as_an_array_does(echo, shape):
    array = np.full(shape, b"", object)
    array.reshape(-1)[:] = [b"", b"a\0b", b"\xff" * 200, b"", b"c", b"d" * 20000][: array.size]
    signature = echo.signatures["string"]
    [plain] = echo.run(RunArgs(signature.feeds, signature.fetches, [array]))
    [packed] = echo.run(RunArgs(signature.feeds, signature.fetches, [Strings.join(array)]))
    assert isinstance(packed, Strings)
    assert (packed.shape, packed.array().tolist()) == (plain.shape, plain.tolist())


def test_many_rows_of_numbers_give_packed_strings(saved):
    """The strings that a graph gives for them would be objects else."""
    model = LoadedModel(saved / "echo")
    signature = model.signatures["pair"]
    number, text = np.zeros((MANY, 2), np.float32), np.full(MANY, b"a", object)
    arrays = {"number": number, "text": text}
    values = model.run(RunArgs(signature.feeds, signature.fetches, [arrays[name] for name, _ in signature.feed_dtypes]))
    kinds = dict(zip(signature.outputs, map(type, values), strict=True))
    assert kinds == {"raw_bytes": Strings, "sum": np.ndarray, "text": Strings}
    assert model.predict("pair", arrays)["text"].tolist() == text.tolist()


def test_packed_strings_where_numbers_belong(echo):
    signature = echo.signatures["float32"]
    packed = Strings.join(np.array([b"a", b"b"], object))
    with pytest.raises(ServingError):
        echo.run(RunArgs(signature.feeds, signature.fetches, [packed]))


def test_packed_strings_without_callables(saved, monkeypatch):
    monkeypatch.setattr("serving.core.session._callable_call", lambda *_: None)
    model = LoadedModel(saved / "echo")
    signature = model.signatures["string"]
    packed = Strings.join(np.array([b"a", b"bc"], object))
    [values] = model.run(RunArgs(signature.feeds, signature.fetches, [packed]))
    assert as_array(values).tolist() == [b"a", b"bc"]


@pytest.mark.parametrize("shape", [(70_000,), (1, 70_000)])
def test_many_strings_through_the_server(server, shape):
    """They pass as `Strings` from the request to the answer; few of them do not."""
    texts = np.array([f"{index}é" * (index % 3) for index in range(70_000)], object).reshape(shape)
    few = texts.reshape(-1)[:5]
    with Client(server.rest) as rest, Client(server.grpc) as grpc:
        for client in (rest, grpc):
            for given in (texts, few):
                answer = client.predict("echo", {"x": given}, signature="string")["y"]
                assert np.vectorize(_text)(answer).tolist() == given.tolist()


def _text(item):
    return item.decode() if isinstance(item, bytes) else item
