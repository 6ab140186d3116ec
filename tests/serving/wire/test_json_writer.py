"""Numbers and strings of the answers: the text is the protocol."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.errors import DeadlineExceeded, InvalidArgument
from serving.wire import json_answers, json_parser, json_writer
from serving.wire.deadline import run_until


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.1), "0.1"),
        (np.float32(1.0), "1.0"),
        (np.float32(123456789), "123456792.0"),
        (np.float32(1435774380), "1.43577434e+09"),
        (np.float32(9000000), "9e+06"),
        (np.float64(1 / 3), "0.33333333333333331"),
        (np.float64(1e22), "1e+22"),
        (np.float32("nan"), "NaN"),
        (np.float64("-inf"), "-Infinity"),
        (np.float32(-0.0), "-0.0"),
        (np.int64(-(2**63)), "-9223372036854775808"),
        (np.bool_(True), "true"),
    ],
)
def test_number(value, expected):
    assert [expected] == list(json_writer.element_texts(np.array(value)))


@given(arrays.arrays(st.sampled_from([np.float32, np.float64, np.int32, np.uint64, np.bool_]), arrays.array_shapes()))
def test_arrays_read_back_equal(array):
    for body, key in (
        (json_answers.write_rows({"y": array}), "predictions"),
        (json_answers.write_columns({"y": array}), "outputs"),
    ):
        np.testing.assert_array_equal(array, np.array(json_parser.loads(body)[key], dtype=array.dtype))


@given(
    arrays.arrays(st.sampled_from([np.float32, np.float64, np.int32, np.bool_]), arrays.array_shapes(max_side=5)),
    st.integers(1, 7),
)
def test_many_small_steps_write_the_same(array, piece):
    many = np.repeat(array, 8, axis=-1)
    for chosen in ({"y": many, "z": many[..., None]}, {"y": many}):
        whole = json_answers.write_rows(chosen), json_answers.write_columns(chosen)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_writer, "_PIECE", piece)
            assert whole == (json_answers.write_rows(chosen), json_answers.write_columns(chosen))


_ANY = st.floats(width=32) | st.integers(-(10**7), 10**7).map(lambda number: float(np.float32(number / 10**4)))


@given(st.lists(_ANY, min_size=1, max_size=8))
@example([4.0637655465419695e-44])  # subnormal: fewer digits say it all
def test_many_numbers_are_written_as_one_is(numbers):
    row = np.tile(np.array(numbers, dtype=np.float32), 64)
    expected = ", ".join(list(json_writer.element_texts(row[: len(numbers)])) * 64)
    assert f"[{expected}]" == "".join(json_writer.number_texts(row))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_strings_read_back_equal(text):
    assert text == json.loads(json_writer.quote_string(text))


_KEYS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.recursive(st.integers() | _KEYS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner)))
def test_a_quoted_document_is_its_beginning(document):
    text = json_writer.debug_text(document)
    size = len(text.encode("utf-8", "surrogateescape"))
    assert size <= json_writer.DEBUG_BYTES
    if size < json_writer.DEBUG_BYTES:
        assert document == json.loads(text)


def test_layout_of_rows_and_columns():
    outputs = {"a": np.array([1.5, 2.0], dtype=np.float32), "b_bytes": np.array([b"x", b"y"], dtype=object)}
    first = '{\n            "a": 1.5,\n            "b_bytes": {\n                "b64": "eA=="\n'
    first += "            }\n        }"
    assert json_answers.write_rows(outputs).decode().startswith('{\n    "predictions": [' + first + ", {")
    assert b'{\n    "predictions": [[1, 2], [3, 4]\n    ]\n}' == json_answers.write_rows(
        {"a": np.array([[1, 2], [3, 4]])}
    )
    assert b'{\n    "outputs": [\n        3\n    ]\n}' == json_answers.write_columns({"a": np.array([3])})


def test_bytes_that_are_no_text_pass_through():
    assert b'"outputs": "\xff\\u0001"' in json_answers.write_columns({"a": np.array(b"\xff\x01", dtype=object)})


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"a": np.array(1.0)}, "Tensor name: a has no shape information "),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "Tensor name: b has inconsistent batch size: 3 expecting: 2"),
        ({"a": np.zeros(1, np.complex64)}, "Failed to write JSON value for tensor type: complex64"),
        ({"a": np.zeros(1, np.float16)}, "Failed to write JSON value for tensor type: half"),
    ],
)
def test_rows_that_cannot_be_written(outputs, expected):
    with pytest.raises(InvalidArgument) as caught:
        json_answers.write_rows(outputs)
    assert expected == str(caught.value)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "array", [np.zeros((200_000, 1, 1), np.float32), np.zeros((1, 10**6)), np.full(200_000, b"x", object)]
)
def test_an_answer_ends_at_its_deadline(array):
    with pytest.raises(DeadlineExceeded):
        run_until(time.monotonic() + 0.005, lambda: json_answers.write_rows({"y": array}))
    assert json_answers.write_rows({"y": array[:1]})
