"""Bytes in JSON: what base64 may look like."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidArgument
from serving.wire import json_elements

_SPACES = st.text(" \t\r\n", max_size=2)


@given(st.binary(max_size=40), st.data())
def test_white_space_and_missing_padding_are_read(content, data):
    text = base64.b64encode(content).decode()
    kept = text.rstrip("=") if data.draw(st.booleans()) else text
    spaced = "".join(character + data.draw(_SPACES) for character in kept)
    assert content == json_elements.read_bytes({"b64": text}) == json_elements.read_bytes({"b64": spaced})


@given(st.binary(min_size=3, max_size=30), st.integers(0, 29), st.sampled_from("!-_é\0\u2003\ud800"))
def test_other_characters_are_refused(content, at, odd):
    text = base64.b64encode(content).decode()
    place = at % len(text.rstrip("="))
    if odd.isspace():
        assert content == json_elements.read_bytes({"b64": text[:place] + odd + text[place:]})
        return
    with pytest.raises(InvalidArgument, match="Unable to base64 decode"):
        json_elements.read_bytes({"b64": text[:place] + odd + text[place + 1 :]})
