"""Requests made up from the OpenAPI document of a model, by somebody else's program."""

from __future__ import annotations

import contextlib
import json
import urllib.request

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

COUNTS = [pytest.param(8, id="some"), pytest.param(300, id="many", marks=pytest.mark.slow)]
CHECKS = [content_type_conformance, response_schema_conformance]
NEGATIVE = schemathesis.GenerationMode.NEGATIVE
UNFORESEEN = {500, 502, 503, 504}  # 501 is TensorFlow Serving's word for a type that JSON has no form for
NO_JSON = (b"NaN", b"Infinity")  # TensorFlow Serving's words for such numbers


def _document(server, model):
    with urllib.request.urlopen(f"{server.rest}/models/{model}/openapi.json") as answer:
        return json.load(answer)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("model", ["half", "echo"])
def test_answers_are_as_documented(hostile, is_well, model, mode, count):
    schema = schemathesis.openapi.from_dict(_document(hostile, model))
    asked = 0
    for result in schema.get_all_operations():
        _ask(result.ok(), schemathesis.GenerationMode[mode], count, hostile.rest)
        asked += 1
    assert asked > 1
    is_well(hostile)


def _ask(operation, mode, count, url):
    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        answer = case.call(base_url=url)
        assert answer.status_code not in UNFORESEEN, answer.content
        wider = (
            mode is NEGATIVE and answer.status_code == 200
        )  # shapes are the graph's: it takes more than is documented
        if not wider and not any(word in answer.content for word in NO_JSON) and _is_text(answer.content):
            case.validate_response(answer, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
        ask()


def _is_text(content):
    """Whether bytes are UTF-8: an error quotes 256 bytes of the request, as upstream, where a character may be cut."""
    return content.decode(errors="replace").encode() == content
