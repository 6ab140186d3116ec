"""Large bodies are read in another process: the same answers and errors, and nothing is parsed in the server."""

from __future__ import annotations

import gzip
import json
import math
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.core.work import MemoryBudget
from serving.errors import DeadlineExceeded, ServingError
from serving.rest.handlers import RequestParser
from serving.rest.parser import Request
from serving.rest.routes import find_route
from serving.wire import json_long, json_parser

pytestmark = pytest.mark.process


def asked(models, process, body, path="echo:predict", headers=None):
    """What a body is read to, or why not."""
    route = find_route("POST", f"/v1/models/{path}")
    parser = RequestParser(models, process=process)
    try:
        prepared = parser.read(route, Request("POST", "/", headers or {}, body))
        if process:
            prepared = prepared(math.inf)
    except ServingError as error:
        return error.message, error.code
    prepared.lease.release()
    arrays = [(array.dtype, array.shape, array.tolist()) for array in prepared.fetch.arrays]
    return prepared.signature, prepared.examples, prepared.fetch.feeds, repr(arrays)


def make_heavy(patch):
    """From now on all bodies count as heavy, also short ones."""
    patch.setattr(json_long, "_HEAVY_MEMORY", -1)
    patch.setattr(json_long, "MOST_MEMORY", math.inf)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(width=32)
    | st.text()
    | st.just({"b64": "YQ=="}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "number", "text"]), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["float32", "int64", "string", "pair", "bool", "half", "", "none", 3])
DOCUMENTS = st.builds(
    lambda key, value, name: {"signature_name": name, key: value},
    st.sampled_from(["instances", "inputs"]),
    VALUES,
    NAMES,
)


@example({"signature_name": "string", "instances": ["a", {"b64": "AAE="}]})
@example({"signature_name": "pair", "instances": [{"number": [1, 2], "text": "é"}]})
@example({"signature_name": "float32", "inputs": [1.5, math.nan]})
@given(DOCUMENTS | VALUES)
def test_both_ways_read_alike(models, process, document):
    body = json.dumps(document).encode()
    alone = asked(models, None, body)
    with pytest.MonkeyPatch.context() as patch:
        make_heavy(patch)
        assert alone == asked(models, process, body)
        assert alone == asked(models, process, gzip.compress(body), headers={"content-encoding": "gzip"})


@pytest.mark.parametrize("path", ["half:classify", "half:regress", "none:predict", "none:classify"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"signature_name": "classify", "examples": [{"x": 1.5}, {"x": -2}]}',
        b'{"signature_name": "regress", "context": {"x": 2.5}, "examples": [{}, {"x": [3]}]}',
        b'{"signature_name": "nope", "examples": [{"x": 1}]}',
        b'{"examples": []}',
        b'{"instances": [1.0]}',
        b"no JSON",
        b"[]",
    ],
)
def test_examples_and_errors_too(models, process, path, body, monkeypatch):
    alone = asked(models, None, body, path)
    make_heavy(monkeypatch)
    assert alone == asked(models, process, body, path)
    assert 0 == models.versions("half")[1].in_flight == models.versions("echo")[1].in_flight


LARGE = {
    "rows": b'{"instances": [' + b"1.5," * 120_000 + b"1]}",
    "objects": b'{"instances": [' + b'{"x": 1},' * 30_000 + b'{"x": 1}]}',
    "deep": b'{"instances": ' + b"[" * 70_000 + b"]" * 70_000 + b"}",
    "twins": b'{"instances": [' + b'{"x": 1, "x": 2},' * 20_000 + b'{"x": 1}]}',
    "long": b'{"instances": ["' + b"x" * 3_000_000 + b'"]}',
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_nothing_large_is_parsed_in_the_server(models, process, body, monkeypatch):
    expected = asked(models, None, body)
    monkeypatch.setattr(json_parser, "loads", lambda _: pytest.fail("it was parsed here"))
    monkeypatch.setattr("serving.wire.json_tensors.read_number_rows", lambda *_: pytest.fail("it was parsed here"))
    assert expected == asked(models, process, body)


def test_what_is_small_is_read_at_once(models, process):
    route, budget = find_route("POST", "/v1/models/echo:predict"), MemoryBudget()
    for body in (b'{"instances": [1.0]}', b'{"instances": [' + b"1," * 60_000 + b"1]}"):
        prepared = RequestParser(models, budget=budget, process=process).read(route, Request("POST", "/", {}, body))
        assert np.float32 == prepared.fetch.arrays[0].dtype
        prepared.lease.release()


def test_a_deadline_gives_back_what_is_held(models, process):
    route, budget = find_route("POST", "/v1/models/echo:predict"), MemoryBudget(10**9)
    parser = RequestParser(models, budget=budget, process=process)
    read = parser.read(route, Request("POST", "/", {}, LARGE["objects"]))
    with pytest.raises(DeadlineExceeded):
        read(time.monotonic())
    assert budget.fits(10**9)
    assert 0 == models.versions("echo")[1].in_flight


@given(st.lists(st.sampled_from([b"[", b"{", b'"', b",", b"{}", b"1"])).map(b"".join))
def test_no_body_takes_more_memory_than_is_said(body):
    assert json_long.measure(body).memory <= json_long.MOST_MEMORY * len(body)


@given(st.binary(max_size=40), st.integers(0, 3))
def test_characters_are_counted(part, times):
    body = part * 10 ** (2 * times) if len(part) * 10 ** (2 * times) < 10**6 else part
    size = json_long.measure(body)
    assert (body.count(b","), body.count(b"["), body.count(b"{"), body.count(b'"')) == size[1:]
    assert len(body) == size.length
