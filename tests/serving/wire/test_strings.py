"""`Strings` are what an array of objects is, in TensorFlow as well."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.wire import tensor_proto
from serving.wire.strings import MANY, Strings, as_array, unpack_few


@st.composite
def _arrays(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    texts = st.one_of(st.binary(max_size=5), st.integers(120, 300).map(lambda size: b"x" * size))
    count = math.prod(shape)
    return _array(draw(st.lists(texts, min_size=count, max_size=count)), shape)


def _message():
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    return TensorProto()


def _parse(serialized):
    message = _message()
    message.ParseFromString(serialized)
    return message


def _array(items, shape=None):
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(shape if shape is not None else (len(items),))


@given(_arrays())
def test_an_array_comes_back(array):
    packed = Strings.join(array)
    assert (packed.shape, packed.ndim, packed.size, packed.dtype) == (array.shape, array.ndim, array.size, array.dtype)
    assert packed.array().tolist() == array.tolist()
    assert packed.array().shape == array.shape


@given(_arrays())
def test_its_message_is_a_tensor_proto(array):
    proto = _parse(Strings.join(array).serialize())
    assert tensor_proto.decode(proto, "x").tolist() == array.tolist()


@given(_arrays().filter(lambda array: array.ndim), st.integers(0, 5), st.integers(0, 5))
def test_rows_are_those_of_the_array(array, start, stop):
    rows = Strings.join(array)[start:stop]
    assert rows.array().tolist() == array[start:stop].tolist()
    assert rows.shape == array[start:stop].shape
    assert len(rows) == len(array[start:stop])
    proto = _parse(rows.serialize())
    assert tensor_proto.decode(proto, "x").tolist() == array[start:stop].tolist()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**21 - 1, 2**21])
def test_tensorflow_reads_the_message(size):
    import tensorflow as tf

    array = _array([b"a", b"b" * size, b""])
    assert tf.io.parse_tensor(Strings.join(array).serialize(), tf.string).numpy().tolist() == array.tolist()


@given(_arrays())
def test_it_is_encoded_as_the_array_is(array):
    packed, plain = _message(), _message()
    tensor_proto.encode(Strings.join(array), packed)
    tensor_proto.encode(array, plain)
    assert packed == plain


@given(_arrays())
def test_in_steps_it_is_the_same_message(array):
    plain = _message()
    tensor_proto.encode(array, plain)
    assert _parse(tensor_proto.serialize(Strings.join(array), _message())) == plain


def test_few_are_an_array_and_many_stay_packed():
    few, many = (Strings.join(_array([b"a"] * count)) for count in (MANY - 1, MANY))
    assert isinstance(unpack_few(few), np.ndarray)
    assert unpack_few(many) is many
    numbers = np.arange(3.0)
    assert as_array(numbers) is numbers
