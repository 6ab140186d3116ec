"""Messages of conversations: which can be used, and what is said of the others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.structured.messages import MessageError, find_first, read_messages

ASK, SAY = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}


def test_messages_are_read_in_their_order():
    parts = [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]
    listed = [{"role": "developer", "content": parts}, ASK, SAY | {"name": "me"}, ASK, SAY | {"weight": 0}]
    messages = read_messages({"messages": listed, "id": 7})
    assert ["system", "user", "assistant", "user", "assistant"] == [message.role for message in messages]
    assert "Be kind." == messages[0].content
    assert [False, False, True, False, False] == [message.is_learnt for message in messages]
    assert 2 == find_first(messages)


def test_a_greeting_answers_nothing():
    messages = read_messages({"messages": [SAY, ASK, SAY]})
    assert 2 == find_first(messages)


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        (None, "no list of messages: the member messages is None, and the members are messages"),
        ({"role": "user"}, "no list of messages: the member messages is {'role': 'user'}"),
        ([], "no message of the assistant that answers a user: the roles are none"),
        ([ASK], "no message of the assistant that answers a user: the roles are user"),
        ([SAY, ASK], "no message of the assistant that answers a user: the roles are assistant, user"),
        ([ASK, SAY | {"weight": 0}], "no message of the assistant that answers a user"),
        (["hi", SAY], "a message that is no object: message 1 is 'hi'"),
        (
            [ASK, {"role": "tool", "content": "x"}],
            "an unknown role: message 2 has 'tool', expected system, developer, ",
        ),
        ([{"content": "x"}], "an unknown role: message 1 has None"),
        ([{"role": ["user"], "content": "x"}], "an unknown role: message 1 has ['user']"),
        ([ASK, {"role": "assistant"}], "a content that is no text: message 2 has None"),
        ([{"role": "user", "content": 5}], "a content that is no text: message 1 has 5"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a content that is no text: message 1 has [{'type'"),
        ([ASK, SAY | {"content": " \n"}], "an empty content: message 2"),
        ([ASK, SAY | {"content": []}], "an empty content: message 2"),
        ([ASK, SAY | {"content": "\ud83d"}], "a content that is no Unicode: message 2 has '\\ud83d'"),
        ([ASK, SAY | {"tool_calls": [{"id": "1"}]}], "a call of a tool, which is not learnt: message 2"),
        ([ASK, SAY | {"weight": 2}], "an unknown weight: message 2 has 2, expected 0 or 1"),
    ],
)
def test_what_cannot_be_used_says_why(listed, fault):
    with pytest.raises(MessageError) as caught:
        read_messages({"messages": listed})
    assert str(caught.value).startswith(fault)


def test_other_formats_are_known_by_their_members():
    with pytest.raises(MessageError, match="the members are conversations, id"):
        read_messages({"conversations": [{"from": "human", "value": "hi"}], "id": 1})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["user", "assistant", "system", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "weight", "name"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(VALUES | st.sampled_from([ASK, SAY]), max_size=5))
def test_whatever_json_holds_is_read_or_refused_in_one_line(listed):
    row = json.loads(json.dumps({"messages": listed}))
    messages, fault = [], ""
    try:
        messages = read_messages(row)
    except MessageError as error:
        fault = str(error)
    assert "\n" not in fault
    assert len(fault) < 200
    if fault:
        return
    assert len(listed) == len(messages)
    assert all(message.content.strip() for message in messages)
    assert any(message.is_learnt for message in messages)
