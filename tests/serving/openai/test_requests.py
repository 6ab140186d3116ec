"""Bodies of any kind are read or refused, and never a failure of the server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.openai.requests import parse_body, read_chat, read_completion
from serving.wire import openai_errors
from serving.wire.openai_errors import BadRequest

FIELDS = (
    *("model", "messages", "prompt", "n", "seed", "stop", "temperature", "top_p", "max_tokens", "stream", "logprobs"),
    *("stream_options", "logit_bias", "top_logprobs", "truncation", "echo", "best_of", "tools", "role", "content"),
    *("max_completion_tokens", "frequency_penalty", "response_format", "type", "text", "include_usage"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(("user", "text")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8) | values


def _refusal(read, content):
    """Why something is not read; None where it is."""
    try:
        read(content)
    except BadRequest as error:
        return error
    return None


@given(bodies, st.sampled_from((read_chat, read_completion)))
def test_any_json_is_read_or_refused(content, read):
    if error := _refusal(read, content):
        assert error.message == json.loads(openai_errors.error_body(error))["error"]["message"]


@given(st.binary(max_size=50))
def test_any_bytes_are_read_or_refused(body):
    if error := _refusal(parse_body, body):
        assert "no JSON" in error.message


def test_messages_become_what_templates_take():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    read = read_chat(
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": parts, "name": "ann"},
                {"role": "assistant", "content": "c", "tool_calls": None, "refusal": None},
            ],
        }
    )
    assert (
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ab", "name": "ann"},
        {"role": "assistant", "content": "c"},
    ) == read.messages


@pytest.mark.parametrize("field", ["tools", "functions", "response_format", "modalities", "audio", "suffix", "best_of"])
def test_what_cannot_be_done_is_refused_by_name(field):
    good = {"model": "m", "messages": [{"role": "user", "content": "x"}], "prompt": "x"}
    chat = {name: value for name, value in good.items() if name != "prompt"}
    completion = {name: value for name, value in good.items() if name != "messages"}
    read, base = (read_completion, completion) if field in {"suffix", "best_of"} else (read_chat, chat)
    with pytest.raises(BadRequest) as refused:
        read({**base, field: 7})
    assert (field, "unsupported_parameter") == (refused.value.param, refused.value.reason)
    assert read({**base, field: None})
