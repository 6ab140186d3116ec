"""The JSON of answers, whole and in pieces, as OpenAI's API describes it; pure functions over what was generated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.generation.answer import Piece, TokenLogprob

DONE = b"data: [DONE]\n\n"
_LEAST_LOGPROB = -9999.0  # JSON has no infinity; OpenAI's own stand-in


@dataclass
class Usage:
    """Tokens that were counted.

    Attributes:
        prompt: Of all prompts.
        completion: Generated.
        cached: Of the prompts, that needed not be read again.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


@dataclass
class Choice:
    """One answer, as far as it is.

    Attributes:
        text: What came so far.
        logprobs: Of its tokens.
        finish: Why it ended; empty while it goes on.
    """

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: str = ""

    def add(self, piece: Piece) -> None:
        """Takes a piece."""
        if piece.text:
            self.text.append(piece.text)
        self.logprobs += piece.logprobs
        self.finish = piece.finish or self.finish


@dataclass(frozen=True)
class AnswerForm:
    """What all objects of one answer have in common.

    Attributes:
        identity: Of the answer, such as `chatcmpl-1f`.
        created: Unix time in whole seconds.
        model: Its name, as the request has it.
        fingerprint: Names model and version.
        is_chat: Whether it is that of a conversation.
        with_logprobs: Whether log probabilities are a part of it.
        with_usage: Whether a stream ends with its counts.
    """

    identity: str
    created: int
    model: str
    fingerprint: str
    is_chat: bool
    with_logprobs: bool
    with_usage: bool = False

    def whole(self, choices: Sequence[Choice], usage: Usage) -> bytes:
        """The answer in one piece."""
        kind = "chat.completion" if self.is_chat else "text_completion"
        objects = [self._choice(place, choice) for place, choice in enumerate(choices)]
        return orjson.dumps({**self._head(kind), "choices": objects, "usage": usage.to_dict()})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.identity,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def _choice(self, place: int, choice: Choice) -> dict[str, Any]:
        text = "".join(choice.text)
        shared = {"index": place, "logprobs": self._logprobs(choice.logprobs), "finish_reason": choice.finish}
        if self.is_chat:
            return {**shared, "message": {"role": "assistant", "content": text, "refusal": None}}
        return {**shared, "text": text}

    def first_event(self, place: int) -> bytes:
        """The event that begins a choice of a conversation; empty for completions, which have none."""
        return (
            self._event(place, {"role": "assistant", "content": "", "refusal": None}, [], None) if self.is_chat else b""
        )

    def events(self, place: int, choice: Choice) -> bytes:
        """What is new of a choice, as events."""
        text, parts = "".join(choice.text), []
        if text or choice.logprobs:
            parts.append(self._event(place, {"content": text} if self.is_chat else text, choice.logprobs, None))
        if choice.finish:
            parts.append(self._event(place, {} if self.is_chat else "", [], choice.finish))
        return b"".join(parts)

    def _event(
        self, place: int, content: dict[str, Any] | str, logprobs: Sequence[TokenLogprob], finish: str | None
    ) -> bytes:
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        choice: dict[str, Any] = {"index": place, ("delta" if self.is_chat else "text"): content}
        choice |= {"logprobs": self._logprobs(logprobs) if logprobs else None, "finish_reason": finish}
        usage: dict[str, Any] = {"usage": None} if self.with_usage else {}
        return to_event({**self._head(kind), "choices": [choice], **usage})

    def usage_event(self, usage: Usage) -> bytes:
        """The counts, as the event before the last; empty where nobody asked for them."""
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return to_event({**self._head(kind), "choices": [], "usage": usage.to_dict()}) if self.with_usage else b""

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        return _chat_logprobs(tokens) if self.is_chat else _completion_logprobs(tokens)


def to_event(content: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: %b\n\n" % orjson.dumps(content)


def _chat_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {
        "content": [
            {**_chat_logprob(token), "top_logprobs": [_chat_logprob(each) for each in token.top]} for token in tokens
        ],
        "refusal": None,
    }


def _chat_logprob(token: TokenLogprob) -> dict[str, Any]:
    return {"token": _text(token), "logprob": max(token.logprob, _LEAST_LOGPROB), "bytes": list(token.content)}


def _completion_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    offsets, end = [], 0
    for token in tokens:
        offsets.append(end)
        end += len(_text(token))
    return {
        "tokens": [_text(token) for token in tokens],
        "token_logprobs": [max(token.logprob, _LEAST_LOGPROB) for token in tokens],
        "top_logprobs": [{_text(each): max(each.logprob, _LEAST_LOGPROB) for each in token.top} for token in tokens],
        "text_offset": offsets,
    }


def _text(token: TokenLogprob) -> str:
    return token.content.decode("utf-8", "replace")
