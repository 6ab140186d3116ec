"""What people pass, as tensors: nothing is lost, or it is told."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.client import grpc_messages, json_values, rest_messages, types, values
from serving.client.client import Client
from serving.client.types import ModelRef
from serving.core.signature import Signature, TensorInfo
from serving.errors import InvalidArgument, NotFound, Unimplemented
from serving.wire import dtypes, json_parser, json_tensors, protos, tensor_proto

BY_NAME = {dtypes.from_number(number).name: dtypes.from_number(number) for number in range(1, 24)}
NUMBERS = [name for name, dtype in BY_NAME.items() if dtype.numpy is not None and name != "string"]


def array(value, name):
    return values.to_array(value, BY_NAME[name], "Input 'x'")


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (1, "float", 1.0),
        ([1, 2], "float", [1.0, 2.0]),
        ([0.1], "float", np.float32([0.1])),
        (np.float64([[0.1]]), "half", np.float16([[0.1]])),
        ([0.1], "bfloat16", np.array([0.1]).astype(ml_dtypes.bfloat16)),
        (np.array([1.5]).astype(ml_dtypes.bfloat16), "float", [1.5]),
        ([1, 2], "bfloat16", [1, 2]),
        ([np.nan, np.inf], "float", [np.nan, np.inf]),
        ((1, 2), "uint8", [1, 2]),
        ([255], "uint8", [255]),
        ([2**64 - 1], "uint64", np.uint64([2**64 - 1])),
        ([[0, 2**63]], "uint64", np.uint64([[0, 2**63]])),
        (np.int64([5]), "int8", [5]),
        (np.uint64([5]), "int64", [5]),
        (True, "bool", True),
        ([True, False], "int32", [1, 0]),
        ([1], "complex64", [1]),
        ([1.5], "complex128", [1.5]),
        (np.float32([1]).astype(">f4"), "float", [1]),
        ([], "int64", []),
        (np.zeros((0, 3)), "int32", np.zeros((0, 3))),
        (memoryview(np.float32([1, 2])), "float", [1, 2]),
    ],
)
def test_what_is_kept(value, name, expected):
    found = array(value, name)
    assert BY_NAME[name].numpy == found.dtype
    np.testing.assert_array_equal(np.asarray(expected, dtype=found.dtype), found)


@pytest.mark.parametrize(
    ("value", "name", "received"),
    [
        ([1.0], "int32", r"1\.0 \(float64\)"),
        ([1e300], "float", r"1e\+300 \(float64\)"),
        ([1.0, 70000.0], "half", r"70000\.0 \(float64\)"),
        ([3, 256], "uint8", r"256 \(int64\)"),
        ([-1], "uint8", "-1"),
        ([-1], "uint64", "-1"),
        ([2**63], "int64", "9223372036854775808"),
        ([-1, 2**63], "uint64", "float64"),
        ([0.5, 2**63], "uint64", "float64"),
        ([2**64], "uint64", "18446744073709551616"),
        ([2**24 + 1], "float", "16777217"),
        ([2**63 - 1], "double", "9223372036854775807"),
        ([1], "bool", r"1 \(int64\)"),
        (["1"], "float", r"'1' \(str\)"),
        (b"1", "int32", r"b'1' \(bytes\)"),
        ([None], "float", r"None \(NoneType\)"),
        ([1j], "float", "1j"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "int64", "2020"),
        (Path("/a/b.png"), "float", "the path /a/b.png"),
        ([1.0, Path("b.png")], "uint8", "the path b.png"),
        ([[1], [1, 2]], "int32", "inhomogeneous"),
    ],
)
def test_what_would_be_lost_is_reported(value, name, received):
    with pytest.raises(
        InvalidArgument, match=rf"^Input 'x' cannot be sent\.\nExpected: .*\nReceived: .*{received}.*\nNext: "
    ):
        array(value, name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("é", "é".encode()),
        (b"\xff\0", b"\xff\0"),
        (bytearray(b"a"), b"a"),
        (np.bytes_(b"a"), b"a"),
        (["a", b"b"], [b"a", b"b"]),
        ([["a"], ("b",)], [[b"a"], [b"b"]]),
        (np.array([["a", "é"]]), [[b"a", "é".encode()]]),
        (np.array([b"a"]), [b"a"]),
        (np.array("a"), b"a"),
        ([np.array(["a"]), ["b"]], [[b"a"], [b"b"]]),
        ([], []),
        (np.array(["a"], dtype=np.dtypes.StringDType()), [b"a"]),
        ("\udcff", b"\xff"),
    ],
)
def test_strings(value, expected):
    assert expected == array(value, "string").tolist()


@pytest.mark.parametrize("value", [1, [1.5], [["a"], ["b", "c"]], [["a"], "b"], None, "\ud800", np.uint8([1])])
def test_what_is_no_string(value):
    with pytest.raises(
        InvalidArgument, match=r"^Input 'x' cannot be sent\.\nExpected: [\s\S]*\nReceived: [\s\S]*\nNext: "
    ):
        array(value, "string")


def test_files(tmp_path):
    (tmp_path / "a").write_bytes(b"\x89PNG")
    assert [b"\x89PNG"] == array([tmp_path / "a"], "string").tolist()
    with pytest.raises(NotFound, match=r"Expected: a file\nReceived: .*/b\nNext: check the path"):
        array(tmp_path / "b", "string")
    with pytest.raises(InvalidArgument, match=r"Expected: a file that can be read"):
        array(tmp_path, "string")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_every_type_travels_over_grpc(name, shape):
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(BY_NAME[name].numpy)
    message = protos.load("apis.predict_pb2").PredictRequest()
    grpc_messages.encode_tensor(value, message.inputs["x"])
    found = grpc_messages.decode_tensor(type(message).FromString(message.SerializeToString()).inputs["x"], "x")
    assert (value.dtype, value.shape, True) == (found.dtype, found.shape, found.flags.writeable)
    np.testing.assert_array_equal(value, found)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_typed_fields_are_read_as_the_plain_decoder_reads_them(name, shape):
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(BY_NAME[name].numpy)
    message = protos.load("apis.predict_pb2").PredictResponse()
    tensor_proto.encode(value, message.outputs["y"])
    found = grpc_messages.decode_tensor(message.outputs["y"], "y")
    assert (value.dtype, value.shape, True) == (found.dtype, found.shape, found.flags.writeable)
    np.testing.assert_array_equal(value, found)


def test_packed_values_come_as_one_block():
    message = protos.load("apis.predict_pb2").PredictResponse()
    tensor_proto.encode(np.float32([[1, 2], [3, 4]]), message.outputs["y"])
    assert [[1, 2], [3, 4]] == grpc_messages._packed_array(message.outputs["y"]).tolist()
    message.outputs["y"].float_val.pop()  # too few: the last value is repeated
    assert grpc_messages._packed_array(message.outputs["y"]) is None
    assert [[1, 2], [3, 3]] == grpc_messages.decode_tensor(message.outputs["y"], "y").tolist()
    message.outputs["y"].version_number = 7
    message.outputs["y"].float_val.append(5)
    message.outputs["y"].string_val.append(b"behind it")
    assert [[1, 2], [3, 5]] == grpc_messages.decode_tensor(message.outputs["y"], "y").tolist()


@pytest.mark.parametrize("name", ["half", "bfloat16", "uint16", "complex64", "complex128"])
def test_what_json_cannot_carry(name):
    with pytest.raises(Unimplemented, match=rf"Received: {name}\nNext: use gRPC"):
        json_values.encode(np.zeros(1, BY_NAME[name].numpy), "Input 'x'")


JSON_NUMBERS = [name for name in NUMBERS if name in json_values._SUPPORTED_TYPES]


@settings(max_examples=60)
@given(data=st.data(), name=st.sampled_from(JSON_NUMBERS))
def test_json_holds_every_bit(data, name):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
    value = data.draw(hnp.arrays(BY_NAME[name].numpy, shape))
    text = json_values.encode(value, "x")
    found = json_tensors.read_tensor(json_parser.loads(text), BY_NAME[name])
    np.testing.assert_array_equal(value, found)
    info = TensorInfo("x:0", BY_NAME[name], None)
    np.testing.assert_array_equal(value, json_values.decode(json_values.loads(text), info, "x"))


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=6) | st.text(max_size=4).map(str.encode), max_size=4))
def test_json_holds_all_bytes(content):
    value = np.empty(len(content), dtype=object)
    value[:] = content
    text = json_values.encode(value, "x")
    assert content == json_tensors.read_tensor(json_parser.loads(text), dtypes.STRING).tolist()
    found = json_values.decode(json_values.loads(text), TensorInfo("x:0", dtypes.STRING, None), "x")
    assert content == found.tolist()


def test_answers_of_raw_bytes_and_of_no_rows():
    info = TensorInfo("x:0", dtypes.STRING, (-1,))
    assert [b"\xff\x01"] == json_values.decode(json_values.loads(b'["\xff\x01"]'), info, "x").tolist()
    info = TensorInfo("x:0", BY_NAME["float"], (-1, 3))
    assert (0, 3) == json_values.decode([], info, "x").shape


def test_inputs_with_a_default_may_be_left_out_over_grpc_only():
    from serving.client import values

    info = TensorInfo("x:0", BY_NAME["float"], (-1,))
    declared = Signature("s", "", {"a": info, "b": info}, {"y": info}, {"b": object()})
    assert {"a"} == set(values.input_arrays({"a": [1]}, declared, fills_defaults=True))
    with pytest.raises(InvalidArgument, match=r"Expected: a, b\nReceived: a\nNext: .*; only gRPC fills in defaults"):
        values.input_arrays({"a": [1]}, declared, fills_defaults=False)
    with pytest.raises(InvalidArgument, match=r"has not one input but 2"):
        values.input_arrays([1], declared, fills_defaults=True)


def test_features(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff")
    given_ = {
        "i": 3,
        "b": True,
        "f": [1, 2.5],
        "n": np.float32([[1], [2]]),
        "s": "é",
        "l": [b"a", "b"],
        "p": tmp_path / "a",
        "none": [],
        "u": np.uint8([1, 2]),
    }
    expected = {
        "i": [3],
        "b": [1],
        "f": [1.0, 2.5],
        "n": [1.0, 2.0],
        "s": ["é".encode()],
        "l": [b"a", b"b"],
        "p": [b"\xff"],
        "none": [],
        "u": [1, 2],
    }
    message = types.example_message(given_)
    assert expected == types.plain_features(message)
    assert message == types.example_message(message.SerializeToString()) == types.example_message(message)
    assert {"value": ["é", {"b64": "/w=="}, 1.0]} == json_values.json_features({"value": ["é".encode(), b"\xff", 1.0]})


@pytest.mark.parametrize("value", [2**63, 1e300, [1, "a", None], [[1], [1, 2]], None, {"a": 1}])
def test_what_is_no_feature(value):
    with pytest.raises(InvalidArgument, match=r"Feature 'x' cannot be sent\.\nExpected: .*\nReceived: [\s\S]*\nNext: "):
        types.example_message({"x": value})


def test_floats_of_examples_stay_floats_over_rest():
    call = rest_messages.regress(ModelRef("m"), "s", types.example_messages([{"x": 2.0}, {"x": float("nan")}]), None)
    assert b'{"x": [2.0]}' in call.body
    assert b'{"x": [NaN]}' in call.body


FLOATS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
INTS = hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
TEXTS = st.lists(st.binary(max_size=5) | st.text(max_size=3), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def clients(server):
    with Client(server.rest) as rest, Client(server.grpc) as rpc:
        yield rest, rpc


@settings(max_examples=15)
@given(floats=FLOATS, ints=INTS, texts=TEXTS)
def test_round_trips(clients, floats, ints, texts):
    expected = [text.encode() if isinstance(text, str) else text for text in texts]
    for client in clients:
        for signature, value in (("float32", floats), ("int64", ints)):
            found = client.predict("echo", {"x": value}, signature=signature)["y"]
            assert value.dtype == found.dtype
            np.testing.assert_array_equal(value, found)
        assert expected == client.predict("echo", texts, signature="string")["y"].tolist()
