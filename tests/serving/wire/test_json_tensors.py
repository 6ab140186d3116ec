"""Rows of numbers straight into an array: what the tolerant parser gives, or nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.wire import dtypes, json_parser, json_tensors

_FLOAT, _DOUBLE, _INT32 = (dtypes.from_number(number) for number in (1, 2, 3))
_ROOM = b" " * 8192  # a document this long is not one of a few numbers
_NUMBERS = st.floats() | st.integers(-(2**70), 2**70)
_ROWS = st.integers(0, 3).flatmap(lambda size: st.lists(st.lists(_NUMBERS, min_size=size, max_size=size), min_size=1))
_ANY = st.recursive(
    _NUMBERS | st.booleans() | st.none() | st.text(max_size=2), lambda inner: st.lists(inner) | st.just({"b64": "aGk="})
)
_DOCUMENTS = st.builds(
    lambda rows, before, after: before + b'"instances": ' + json.dumps(rows).encode() + after,
    _ROWS | st.lists(_NUMBERS, min_size=1) | st.lists(_ANY),
    st.sampled_from(
        [b"{", b'{"signature_name": "x", ', b'{"signature_name": "[", ', b'{"other": 1, ', b"\xef\xbb\xbf{"]
    ),
    st.sampled_from(
        [b"}", b',"instances": [1]}', b',"signature_name": "y"}', b',"inputs": [1]}', b"", b"} more", b"]}"]
    ),
)


def _outcome(read):
    try:
        array = read()
    except ServingError as error:
        return error.text
    return array.dtype, array.shape, array.tobytes()


def _tolerant(body, dtype):
    arrays, by_row = json_tensors.read_inputs(json_parser.loads(body), {"x": dtype})
    assert by_row
    return arrays["x"]


@given(_DOCUMENTS, st.sampled_from([_FLOAT, _DOUBLE]))
def test_agrees_with_the_tolerant_parser(document, dtype):
    body = document + _ROOM
    if json_tensors.match_signature(body) is None or (array := json_tensors.read_number_rows(body, dtype)) is None:
        return
    assert _outcome(lambda: _tolerant(body, dtype)) == _outcome(lambda: array)


@pytest.mark.parametrize("dtype", [_FLOAT, _DOUBLE])
@pytest.mark.parametrize("rows", [[[1, -2.5], [1e300, 0.1]], [1, 2.5, -0.0], [[18446744073709551615]]])
def test_takes(rows, dtype):
    body = json.dumps({"signature_name": "some", "instances": rows}).encode() + _ROOM
    assert "some" == json_tensors.match_signature(body)
    found = json_tensors.read_number_rows(body, dtype)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.array(rows, dtype=np.float64).astype(dtype.numpy), found)


@pytest.mark.parametrize(
    "rows",
    [
        b"[[1, 2], [3]]",
        b"[[1, [2, 3]], [4, []]]",
        b"[1, [2]]",
        b"[[1], 2]",
        b"[[1, true]]",
        b'[[1, "2"]]',
        b"[[1, null]]",
        b"[1, {}]",
        b"[1, NaN]",
        b"[1e999]",
        b"[18446744073709551616]",
        b"[01]",
        b"[1, ]",
        b"[[[1]]]",
        b"[1]}, 2",
    ],
)
def test_leaves_the_rest_to_the_tolerant_parser(rows):
    body = b'{"instances": %s}%s' % (rows, _ROOM)
    assert "" == json_tensors.match_signature(body)
    assert json_tensors.read_number_rows(body, _FLOAT) is None


def test_only_floats_are_taken():
    assert json_tensors.read_number_rows(b'{"instances": [1, 2]}' + _ROOM, _INT32) is None


@pytest.mark.parametrize(
    "body",
    [b'{"instances": [1]}', b'{"inputs": [1]}' + _ROOM, b'{"instances": ["a"]}' + _ROOM, b'{"instances": []}' + _ROOM],
)
def test_other_forms_are_not_tried(body):
    assert json_tensors.match_signature(body) is None
