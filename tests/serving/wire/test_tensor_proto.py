"""JSON values and TensorProtos to arrays and back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.errors import InvalidArgument, ServingError
from serving.wire import dtypes, json_elements, json_tensors, protos, tensor_proto

_FLOAT, _INT32, _UINT8, _STRING, _BOOL = (dtypes.from_number(number) for number in (1, 3, 4, 7, 10))
_NUMBERS = [np.float32, np.float64, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64]
_NUMBERS += [np.uint32, np.uint64, np.bool_, np.complex64, np.complex128]


def _proto():
    protos.load("apis.predict_pb2")
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    return TensorProto()


def _bits(array):
    return np.ascontiguousarray(array).tobytes()


@given(arrays.arrays(st.sampled_from(_NUMBERS), arrays.array_shapes(min_dims=0, min_side=0)))
def test_every_number_survives_a_tensor_proto(array):
    proto = _proto()
    tensor_proto.encode(array, proto)
    back = tensor_proto.decode(type(proto).FromString(proto.SerializeToString()), "x")
    assert (array.dtype, array.shape, _bits(array)) == (back.dtype, back.shape, _bits(back))


@given(arrays.arrays(st.sampled_from(_NUMBERS), arrays.array_shapes(min_dims=0, min_side=0)))
def test_agrees_with_tensorflow(array):
    import tensorflow as tf

    ours = _proto()
    tensor_proto.encode(array, ours)
    assert _bits(array) == _bits(tf.make_ndarray(ours))
    content = tf.make_tensor_proto(array)  # in tensor_content
    assert _bits(array) == _bits(tensor_proto.decode(content, "x"))


@given(st.lists(st.binary()))
def test_strings_survive_a_tensor_proto(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    proto = _proto()
    tensor_proto.encode(array, proto)
    assert values == tensor_proto.decode(proto, "x").tolist()


def test_a_length_without_an_end_is_refused_at_once():
    proto = _proto()
    proto.dtype, proto.tensor_content = 7, b"\xff" * 2_000_000
    proto.tensor_shape.dim.add(size=1_000)
    with pytest.raises(InvalidArgument, match="tensor parsing error: x"):
        tensor_proto.decode(proto, "x")


def test_strings_in_tensor_content():
    content = _proto()
    content.dtype, content.tensor_content = 7, b"\x02\x00\x03abcde"
    content.tensor_shape.dim.add().size = 3
    assert [b"ab", b"", b"cde"] == tensor_proto.decode(content, "x").tolist()


def test_bfloat16():
    array = np.array([1.5, -2.0], dtype=ml_dtypes.bfloat16)
    proto = _proto()
    tensor_proto.encode(array, proto)
    assert array.tolist() == tensor_proto.decode(proto, "x").tolist()


@pytest.mark.parametrize(
    ("given_values", "expected"), [([], [0, 0, 0]), ([5, 6], [5, 6, 6]), ([1, 2, 3, 4], [1, 2, 3])]
)
def test_count_of_values_is_the_shapes(given_values, expected):
    proto = _proto()
    proto.dtype = 1
    proto.tensor_shape.dim.add().size = 3
    proto.float_val.extend(given_values)
    assert expected == tensor_proto.decode(proto, "x").tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda proto: setattr(proto, "dtype", 0),
        lambda proto: setattr(proto, "dtype", 20),
        lambda proto: setattr(proto.tensor_shape.dim[0], "size", -1),
        lambda proto: setattr(proto.tensor_shape.dim[0], "size", 2**62),
        lambda proto: setattr(proto, "tensor_content", b"123"),
    ],
)
def test_what_is_no_tensor(change):
    proto = _proto()
    proto.dtype = 1
    proto.tensor_shape.dim.add().size = 2
    change(proto)
    with pytest.raises(InvalidArgument, match=r"^tensor parsing error: x$"):
        tensor_proto.decode(proto, "x")


_LEAVES = st.integers(-(2**40), 2**40) | st.floats(width=32) | st.booleans() | st.text(max_size=3) | st.none()
_LEAVES |= st.builds(lambda text: {"b64": text}, st.sampled_from(["aGk=", "aGk", " a G k", "!", ""]))
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=8)


def _outcome(read):
    try:
        return {name: (array.shape, array.dtype, repr(array.tolist())) for name, array in read().items()}
    except ServingError as error:
        return error.text


@given(st.lists(_VALUES, min_size=1, max_size=4), st.sampled_from([1, 2, 3, 4, 7, 9, 10, 17, 19, 22, 23]))
def test_fast_and_strict_rows_agree(instances, number):
    inputs = {"x": dtypes.from_number(number)}
    fast = _outcome(lambda: json_tensors.read_rows({"instances": instances}, inputs))
    assert _outcome(lambda: json_elements.read_rows(instances, inputs)) == fast


@given(st.lists(st.fixed_dictionaries({"x": _VALUES, "y": _VALUES}), min_size=1, max_size=3))
def test_fast_and_strict_named_rows_agree(instances):
    inputs = {"x": _FLOAT, "y": _STRING}
    fast = _outcome(lambda: json_tensors.read_rows({"instances": instances}, inputs))
    assert _outcome(lambda: json_elements.read_rows(instances, inputs)) == fast


@given(_VALUES, st.sampled_from([1, 3, 4, 7, 10, 23]))
def test_fast_and_strict_columns_agree(value, number):
    dtype = dtypes.from_number(number)
    fast = _outcome(lambda: {"x": json_tensors.read_tensor(value, dtype)})
    assert _outcome(lambda: {"x": json_elements.read_tensor(value, dtype)}) == fast


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([300, -1], _UINT8, [44, 255]),
        ([1e300, 1e-300], _FLOAT, [np.inf, 0.0]),
        ([True, False], _BOOL, [True, False]),
        (["é", {"b64": "aGk"}], _STRING, ["é".encode(), b"hi"]),
        (7, _INT32, 7),
        ([], _FLOAT, []),
    ],
)
def test_values(value, dtype, expected):
    assert expected == json_tensors.read_tensor(value, dtype).tolist()


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([True], _FLOAT, "JSON Value: true Type: True is not of expected type: float"),
        ([1.0], _INT32, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ([[1, 2], [3]], _INT32, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([1, [2]], _INT32, "Encountered list at unexpected level: 1 expected < 1"),
        ([{"b64": "!!"}], _STRING, "Unable to base64 decode"),
    ],
)
def test_values_that_do_not_fit(value, dtype, expected):
    with pytest.raises(InvalidArgument) as caught:
        json_tensors.read_tensor(value, dtype)
    assert expected == str(caught.value)


def test_deep_values_are_an_error_and_no_crash():
    value = 1.0
    for _ in range(5000):
        value = [value]
    with pytest.raises(InvalidArgument, match="more than 64 dimensions"):
        json_tensors.read_tensor(value, _FLOAT)
