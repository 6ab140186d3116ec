"""The tolerant JSON parser against the standard one, and its own rules."""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidArgument
from serving.wire import json_long, json_parser

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@pytest.mark.heavy
@given(_DOCUMENTS, st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_the_standard_parser_reads(document, ascii_only, indent):
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert document == json_parser.parse(text.encode())
    assert document == json_parser.loads(text.encode())


@given(st.text(alphabet='{}[]",:\\ 0123456789.eE+-truefalsnulNIy\x00é', max_size=40))
def test_fast_and_own_parser_agree(text):
    def outcome(parse):
        try:
            return repr(parse(text.encode()))
        except InvalidArgument as error:
            return str(error)

    assert outcome(json_parser.parse) == outcome(json_parser.loads)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_an_error(body):
    outcome = "JSON Parse error: "
    try:
        json_parser.loads(body)
    except InvalidArgument as error:
        outcome = error.message
    assert outcome.startswith("JSON Parse error: ")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1, "a": 2}', {"a": 1}),
        (b'{"o": {"a": 1, "b": ":", "a": 2}}', {"o": {"a": 1, "b": ":"}}),
        (b'[1] and more {"', [1]),
        (b"[Infinity, -Infinity, Inf, -Inf]", [math.inf, -math.inf, math.inf, -math.inf]),
        (b"\xef\xbb\xbf[true]", [True]),
        (b'["\xff\\ud83d\\ude00"]', ["\udcff\U0001f600"]),
        (b"[18446744073709551615, 18446744073709551616]", [2**64 - 1, 2.0**64]),
    ],
)
def test_wider_grammar(body, expected):
    assert expected == json_parser.loads(body)


def test_nan():
    assert math.isnan(json_parser.loads(b"[NaN]")[0])


def test_depth_has_no_limit():
    depth = 200_000
    value = json_parser.loads(b'{"a": 1, "nested": ' + b"[" * depth + b"]" * depth + b"}")
    assert 1 == value["a"]
    while value["nested"]:  # taken apart level by level, as freeing it is recursive in older Pythons
        value["nested"] = value["nested"][0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"  ", "JSON Parse error: The document is empty. at offset: 2"),
        (b"[1, 2", "JSON Parse error: Missing a comma or ] after an array element. at offset: 5"),
        (b'{"a": 1', "JSON Parse error: Missing a comma or } after an object member. at offset: 7"),
        (b"{a", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"a" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 5"),
        (b"[nul]", "JSON Parse error: Invalid value. at offset: 4"),
        (b"[1.]", "JSON Parse error: Miss fraction part in number. at offset: 3"),
        (b"[1e]", "JSON Parse error: Miss exponent in number. at offset: 3"),
        (b"[1e999]", "JSON Parse error: Number too big to be stored in double. at offset: 1"),
        (b'["a', "JSON Parse error: Missing a closing quotation mark in string. at offset: 1"),
        (b'["\\x"]', "JSON Parse error: Invalid escape character in string. at offset: 2"),
        (b'["\\u12"]', "JSON Parse error: Incorrect hex digit after \\u escape in string. at offset: 2"),
        (b'["\\ud800"]', "JSON Parse error: The surrogate pair in string is invalid. at offset: 2"),
    ],
)
def test_errors(body, expected):
    with pytest.raises(InvalidArgument) as caught:
        json_parser.loads(body)
    assert expected == str(caught.value)


@given(_DOCUMENTS | st.lists(st.floats()), st.booleans())
def test_long_bodies_are_read_alike(document, ascii_only):
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    if not json_long.is_odd(body):
        assert repr(json_parser.parse(body)) == repr(json_long.parse(body))


@given(st.text(alphabet='{}[]",:\\ 0123456789.eE+-truefalsnulNIyaé', max_size=40))
def test_long_parser_gives_the_same_value_or_an_error(text):
    body = f"[{text}]".encode()
    try:
        value = json_long.parse(body)
    except InvalidArgument:
        return
    assert repr(json_parser.parse(body)) == repr(value)


ODD = re.compile(rb"\\u[dD]|[eE]\+?[0-9]{3}|[0-9]{200}|Inf(?!inity)|-NaN")


@given(st.lists(st.sampled_from(["\\u", "d", "D", "e", "E", "+", "-", "1", "90", "7" * 99, "Inf", "inity", "NaN"])))
def test_what_the_standard_parser_reads_in_another_way_is_found(parts):
    body = "".join(parts).encode()
    assert bool(ODD.search(body)) == json_long.is_odd(body)


@pytest.mark.parametrize("levels", [1_030, 3_000])
def test_levels_that_no_parser_of_long_bodies_reads_are_refused(levels):
    body = b'{"pad": "' + b"x" * json_long.LEAST + b'", "a": ' + b"[" * levels + b"]" * levels + b"}"
    with pytest.raises(RecursionError):
        json.loads(body)
    with pytest.raises(InvalidArgument, match="Terminate parsing due to Handler error"):
        json_parser.loads(body)


HOSTILE = {
    "twins": b'{"a": [' + b'{"k": 1, "k": 2},' * 300_000 + b"0]}",
    "colons in texts": b'{"a": [' + b'"http://x", {"k": 1},' * 250_000 + b"0]}",
    "numbers and objects": b'{"a": [' + b'1, {"k": 1},' * 400_000 + b"0]}",
    "nan": b'{"a": [' + b"NaN, 1.5," * 600_000 + b"0]}",
    "cut off": b'{"a": [' + b"1," * 3_000_000,
    "deep": b'{"a": ' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}",
    "escapes": b'{"a": "' + b"\\ud83d\\ude00" * 500_000 + b'"}',
    "backslashes": b'{"a": "' + b"\\\\" * 2_500_000 + b'", "a": ":"}',
}


@pytest.mark.heavy
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_six_megabytes_of_anything_take_a_moment(body):
    began = time.process_time()
    with contextlib.suppress(InvalidArgument):
        json_parser.loads(body)
    assert time.process_time() - began < 4


def test_first_of_equal_keys_wins_in_long_bodies_too():
    body = b'{"k": 1, "k": 2, "pad": "' + b"x" * json_long.LEAST + b'"}'
    assert 1 == json_parser.loads(body)["k"]


@pytest.mark.heavy
def test_memory_of_values_is_not_underestimated():
    for part in (b"[]", b"{}", b'{"a":1}', b"1.5", b'"x"', b"[1]"):
        body = b"[" + b",".join([part] * 100_000) + b"]"
        tracemalloc.start()
        value = json_parser.loads(body)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used <= json_long.measure(body).memory, part
        del value
