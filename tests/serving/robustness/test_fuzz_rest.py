"""Hostile requests over REST: the server answers each as TensorFlow Serving would, or cuts the connection."""

# ruff: noqa: E501 - tables of odd words

from __future__ import annotations

import gzip
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# As TensorFlow Serving: what the request is at fault for, or what JSON has no form for. Never a fault of ours.
EXPECTED = {200, 400, 404, 405, 408, 413, 431, 501}
SLOW = pytest.mark.slow
COUNTS = [pytest.param(1, id="some"), pytest.param(8, id="many", marks=SLOW)]

VALID = [
    ("half", "predict", {"instances": [1.0, 2.0]}),
    ("half", "predict", {"signature_name": "serving_default", "inputs": {"x": [1.0, 2.5]}}),
    ("half", "classify", {"signature_name": "classify", "examples": [{"x": 1.0}, {"x": [2.0]}]}),
    ("half", "regress", {"signature_name": "regress", "context": {"x": 1.0}, "examples": [{}, {"x": 2.0}]}),
    ("half", "predict", {"signature_name": "classify", "inputs": [{"b64": "CgA="}, "text"]}),
    *(
        ("echo", "predict", {"signature_name": kind, "instances": [1, 2, 3]})
        for kind in ("float32", "float64", "int32", "int64", "uint8")
    ),
    ("echo", "predict", {"signature_name": "bool", "inputs": [[True], [False]]}),
    ("echo", "predict", {"signature_name": "string", "instances": ["a", {"b64": "aGk="}]}),
    ("echo", "predict", {"signature_name": "float16", "instances": [1.0]}),
    ("echo", "predict", {"signature_name": "matrix", "instances": [[1.0, 2.0]]}),
    (
        "echo",
        "predict",
        {"signature_name": "pair", "instances": [{"number": [1, 2], "text": "a"}, {"number": [3, 4], "text": "b"}]},
    ),
    ("echo", "predict", {"signature_name": "pair", "inputs": {"number": [[1, 2]], "text": [{"b64": "aGk="}]}}),
]
LITERALS = [
    "null", "true", "false", "NaN", "-Infinity", "Inf", "-0", "0.5", "1e400", "-1e400", "1e-400", "9223372036854775808",
    "-9223372036854775809", "18446744073709551616", "1" * 400, "01", "1.", "1e", "+1", "", '"', '"\\ud800"', '"\\u0000"',
    '"\\udc00\\ud800"', '"\\x"', "[", "{", "]", "}", "{}", "[]", "[[]]", "[[[]], []]", '{"b64": "!"}', '{"b64": "QQ"}',
    '{"b64": 1}', '{"b64": "QQ==", "x": 1}', '{"": 1}', '{"x": 1, "x": 2}', "[1, [2]]", "[[1], [2, 3]]", '[1, "a"]',
    "[" * 70 + "]" * 70, "[" * 2000 + "1" + "]" * 2000, '{"a":' * 1100 + "1" + "}" * 1100, '"' + "x" * 300 + '"',
    "\udcff", '"\udcff\udcfe"', '{"\udcff": 1.0}', '{"\udced\udca0\udc80": [1]}', "1 2", "/* */ 1",
]  # fmt: skip


class Raw(str):
    """A piece of JSON, or of what pretends to be."""

    __slots__ = ()


def _text(value):
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value)


def _places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _changed(value, path, change):
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(value[path[0]], path[1:], change)
    return copy


def _bytes(text):
    return text.encode("utf-8", "surrogateescape")


def _request(path, body, *headers, method=b"POST"):
    lines = b"".join(_bytes(line) + b"\r\n" for line in headers)
    return b"%s %s HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s" % (method, _bytes(path), len(body), lines, body)


@st.composite
def odd_bodies(draw):
    """A valid request of which one or two places hold something else."""
    model, verb, body = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 2))):
        places = [place for place in _places(body) if not isinstance(body, Raw)]
        if not places:
            break
        odd = draw(st.sampled_from(LITERALS))
        changes = [lambda _, odd=odd: Raw(odd), lambda old, odd=odd: [old, Raw(odd)], lambda old: [old] * 2]
        changes += [lambda old, odd=odd: {**old, Raw(odd or '"k"'): Raw(odd)} if isinstance(old, dict) else [old]]
        body = _changed(body, draw(st.sampled_from(places)), draw(st.sampled_from(changes)))
    return _request(f"/v1/models/{model}:{verb}", _bytes(_text(body)))


@st.composite
def broken_bodies(draw):
    """A valid request with some bytes of its body, or of all of it, changed."""
    model, verb, body = draw(st.sampled_from(VALID))
    path, content = f"/v1/models/{model}:{verb}", json.dumps(body).encode()
    whole = draw(st.booleans())
    data = bytearray(_request(path, content) if whole else content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data) if whole else _request(path, bytes(data))


PARTS = st.sampled_from(
    ["half", "echo", "", "..%2f", "%2e%2e", "..", "%00", "%", "%zz", "%ff", "\udcff", "é", "%2F", "%3A", ":", "/", "?a=b",
     "#", "1", "99999999999999999999", "9" * 1200, "-1", "versions", "labels", "/versions/2", "/labels/x", "/metadata",
     "/METADATA", ":predict", ":PREDICT", ":classify", "openapi.json", "/openapi.json", "a" * 5000, "\u0131", "%ed%a0%80"]
)  # fmt: skip
ROOTS = st.sampled_from(
    ["/v1/models/", "/V1/Models/", "/models/", "/v1/", "/", "", "*", "http://host/v1/models/", "/healthz", "/readyz",
     "/monitoring/prometheus/metrics", "//v1/models/"]
)  # fmt: skip
METHODS = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"CONNECT", b"PROPFIND", b"get", b"X"]
)


@st.composite
def odd_paths(draw):
    path = draw(ROOTS) + "".join(draw(st.lists(PARTS, max_size=4)))
    return _request(path, draw(st.sampled_from([b"", b'{"instances": [1.0]}'])), method=draw(METHODS))


HEADERS = st.sampled_from(
    ["Content-Encoding: gzip", "content-encoding: GZIP", "Content-Encoding: br", "Content-Length: 5", "Content-Length: -1",
     "Content-Length: 1\r\nContent-Length: 1", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Expect: x",
     "Transfer-Encoding: x", "Expect: 100-continue", "Connection: close", "Connection: upgrade\r\nUpgrade: h2c", "Host: ",
     "Host: a\r\nHost: b", "Authorization: Bearer \udcff", "X: " + "y" * 9000, "\udcff: 1", ": 1", "A B: c", "X:\0",
     "Origin: http://a", "X: a\r\n folded", "Cookie: \udcc3\udcbc", "Accept-Encoding: gzip", "X: \t "]
)  # fmt: skip


@st.composite
def odd_headers(draw):
    model, verb, body = draw(st.sampled_from(VALID))
    content = json.dumps(body).encode()
    if draw(st.booleans()):
        content = gzip.compress(content, mtime=0)
        content = content[: draw(st.integers(0, len(content)))] + draw(st.binary(max_size=3))
    headers = draw(st.lists(HEADERS, max_size=3))
    return _request(f"/v1/models/{model}:{verb}", content, *headers)


@st.composite
def chunked(draw):
    """A chunked body whose framing may lie."""
    model, verb, body = draw(st.sampled_from(VALID))
    content = json.dumps(body).encode()
    data = f"POST /v1/models/{model}:{verb} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    while content:
        size = draw(st.integers(1, 40))
        lie = draw(st.sampled_from([b"", b"", b"", b"", b";a=b", b"0", b" ", b"g", b"\n", b"-"]))
        piece, content = content[:size], content[size:]
        data += b"%x%s\r\n%s\r\n" % (len(piece), lie, piece)
    return data + draw(
        st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"", b"0\r\n", b"00000000000000000\r\n\r\n"])
    )


LINES = st.sampled_from(
    [b"GET /healthz\r\n", b"GET /healthz HTTP/0.9\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\n\n", b"\r\n" * 50, b"GET  /  HTTP/1.1\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n\r\n", b"GET /v1/models/half HTTP/1.1\r\n\r\n", b"\0", b"GET /\0 HTTP/1.1\r\n\r\n", b"\xff\xfe"]
)  # fmt: skip
WIRE = st.lists(st.one_of(LINES, st.binary(max_size=40), odd_paths()), min_size=1, max_size=6).map(b"".join)
ANYTHING = st.one_of(
    odd_bodies(), odd_bodies(), odd_bodies(), broken_bodies(), odd_paths(), odd_headers(), chunked(), WIRE
)


def _answers(data):
    """The answers of one connection; each has a length, and after an error's JSON nothing is missing."""
    found = []
    while data:
        head, mark, rest = data.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) ", head)[1])
        assert mark, head
        if status != 100:
            size = int(re.search(rb"\r\nContent-Length: (\d+)", head)[1])
            if rest[:8].startswith(b"HTTP/1.1"):  # to a HEAD
                size = 0
            found.append((status, head, rest[:size]))
            rest = rest[size:]
        data = rest
    return found


def _check(data):
    for status, head, body in _answers(data):
        assert status in EXPECTED, (status, body[:500])
        if b"application/json" in head and status != 200 and body:
            assert ["error"] == list(json.loads(body.decode("utf-8", "replace")))


@pytest.mark.parametrize("times", COUNTS)
def test_whatever_is_sent_is_answered(hostile, exchange, is_well, times):
    @settings(max_examples=1000 * times, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(ANYTHING)
    def send(data):
        _check(exchange(hostile, data))

    send()
    is_well(hostile)


def _predict(body, *headers):
    return _request("/v1/models/echo:predict", body, *headers)


BOMB = gzip.compress(b'{"instances": [' + b" " * (101 * 2**20) + b"1.0]}", 9, mtime=0)
LARGE = [
    (_predict(b"[" * 500_000 + b"]" * 500_000), 400),
    (_predict(b'{"instances":' + b"[" * 500_000 + b"1" + b"]" * 500_000 + b"}"), 400),
    (_predict(b'{"a":' * 500_000 + b"1" + b"}" * 500_000), 400),
    (_predict(b'{"instances":' + b'{"x":' * 500_000 + b"1" + b"}" * 500_000 + b"}"), 400),
    (_predict(b"[" * 10_000_000), 400),
    (_predict(b"{" + b",".join(b'"k%d":1' % number for number in range(200_000)) + b',"instances":[1.0]}'), 200),
    (_predict(b'{"instances":[' + b",".join([b'{"x":1}'] * 100_000) + b"]}"), 200),
    (_predict(b'{"instances":[' + b"1" * 2_000_000 + b"]}"), 400),
    (_predict(b'{"signature_name":"' + b"s" * 2_000_000 + b'","instances":[1.0]}'), 400),
    (_predict(b'{"signature_name":"string","instances":["' + b"\\u0000" * 300_000 + b'"]}'), 200),
    (_predict(BOMB, "Content-Encoding: gzip"), 400),
    (_predict(b"\x1f\x8b garbage", "Content-Encoding: gzip"), 400),
]


@pytest.mark.parametrize(("data", "status"), LARGE, ids=range(len(LARGE)))
def test_large_and_deep(hostile, exchange, is_well, data, status):
    [(answered, _, body)] = _answers(exchange(hostile, data))
    assert status == answered, body[:300]
    is_well(hostile)


def test_bytes_that_are_no_text_come_back_as_they_were(hostile, exchange):
    body = b'{"signature_name": "string", "instances": ["\xff\xfe"]}'
    [(status, _, answer)] = _answers(exchange(hostile, _predict(body)))
    assert (200, True) == (status, b'"\xff\xfe"' in answer)
    [(status, _, answer)] = _answers(exchange(hostile, _predict(b'{"signature_name": "\xff"}')))
    assert (400, True) == (status, b'"\xff\\"' in answer or b"\xff" in answer)


def test_a_feature_name_that_is_no_text_is_refused(hostile, exchange):
    body = b'{"signature_name": "regress", "examples": [{"x": 1.0, "\xff": 2.0}]}'
    [(status, _, answer)] = _answers(exchange(hostile, _request("/v1/models/half:regress", body)))
    assert (400, True) == (status, b"error" in answer), answer


def test_an_example_that_is_none_keeps_the_code_of_the_graph(hostile, exchange):
    body = b'{"signature_name": "classify", "inputs": [{"b64": "/////w=="}]}'
    [(status, _, answer)] = _answers(exchange(hostile, _request("/v1/models/half:predict", body)))
    assert 400 == status, answer
