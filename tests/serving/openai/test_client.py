"""OpenAI's own client against a real server."""

from __future__ import annotations

HELLO = [{"role": "user", "content": "hello"}]


def _text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_chat_streams(client):
    chunks = list(client.chat.completions.create(model="talk", messages=HELLO, seed=3, max_tokens=30, stream=True))
    assert "assistant" == chunks[0].choices[0].delta.role
    assert chunks[-1].choices[0].finish_reason in {"stop", "length"}
    assert len(_text(chunks)) > 3
    assert len(chunks) > 5
