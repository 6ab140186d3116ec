"""Makes the tokens of a request's prompts, and holds them against the model's context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.generation import template
from serving.generation.language_model import TOKEN_BYTES
from serving.wire.openai_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.generation.language_model import LanguageCalls, LanguageModel
    from serving.openai.requests import GenerationRequest


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits.

    Attributes:
        text: As the model reads it.
        tokens: The same.
        room: Tokens that the answer may have at most.
    """

    text: str
    tokens: tuple[int, ...]
    room: int


def make_prompts(request: GenerationRequest, calls: LanguageCalls) -> list[Prompt]:
    """The prompts of a request.

    Raises:
        BadRequest: One does not fit, is empty, or cannot be made.
    """
    about = calls.about
    if request.tokens is not None and request.tokens >= about.context:
        raise BadRequest(
            f"An answer may have {about.context - 1} tokens at most, as the context holds {about.context} with the "
            f"prompt. Received: {request.tokens}",
            "max_tokens",
            "invalid_value",
        )
    for token in request.sampling.bias:
        _check_token(token, about, "logit_bias")
    if request.is_chat:
        return [_make_chat(request, calls)]
    return [_make_prompt(request, prompt, calls) for prompt in request.prompts]


def _check_token(token: int, about: LanguageModel, param: str) -> None:
    if not 0 <= token < about.vocabulary:
        raise BadRequest(
            f"'{param}' has a token that there is not: expected 0 to {about.vocabulary - 1}. Received: {token}",
            param,
            "invalid_value",
        )


def _make_chat(request: GenerationRequest, calls: LanguageCalls) -> Prompt:
    about = calls.about
    if not about.chat_template:
        raise BadRequest("The model has no chat template: send its prompt to /v1/completions.", "model")
    messages = [
        message | {"content": template.break_special(message["content"], about.special)} for message in request.messages
    ]
    most = about.context * TOKEN_BYTES * (1 if not request.cuts else 64)
    marks = {"bos_token": about.bos_token, "eos_token": about.eos_token}
    text = template.render_chat(about.chat_template, messages, marks, most)
    while request.cuts and not _fits(text, request, calls) and _drop_oldest(messages):
        text = template.render_chat(about.chat_template, messages, marks, most)
    return _check_fit(text, _tokenize(text, calls, "messages"), request, about, "messages")


def _drop_oldest(messages: list[dict[str, str]]) -> bool:
    """Takes away the oldest messages that can be spared: half of those behind the system's, before the last one."""
    first = next((place for place, message in enumerate(messages) if message["role"] != "system"), len(messages))
    spare = len(messages) - 1 - first
    if spare < 1:
        return False
    del messages[first : first + _even(max(1, spare // 4), spare)]
    return True


def _even(count: int, most: int) -> int:
    """Messages go by pairs, so that templates which want users and assistants by turns go on to be content."""
    return min(count + count % 2, most)


def _fits(text: str, request: GenerationRequest, calls: LanguageCalls) -> bool:
    about = calls.about
    if len(text.encode("utf-8", "replace")) > about.context * TOKEN_BYTES:
        return False
    return len(calls.tokenize([text])[0]) + (request.tokens or 1) <= about.context


def _make_prompt(request: GenerationRequest, prompt: str | tuple[int, ...], calls: LanguageCalls) -> Prompt:
    about = calls.about
    if isinstance(prompt, tuple):
        for token in prompt:
            _check_token(token, about, "prompt")
        tokens: Sequence[int] = prompt
    else:
        if request.cuts:  # what can only be cut off need not be tokenized
            prompt = prompt[-about.context * TOKEN_BYTES // 4 :]
        tokens = _tokenize(prompt, calls, "prompt")
    if request.cuts:
        tokens = tokens[-(about.context - (request.tokens or 1)) :]
    text = calls.detokenize([tokens])[0].decode("utf-8", "replace") if isinstance(prompt, tuple) else prompt
    return _check_fit(text, tokens, request, about, "prompt")


def _tokenize(text: str, calls: LanguageCalls, param: str) -> list[int]:
    size, most = len(text.encode("utf-8", "replace")), calls.about.context * TOKEN_BYTES
    if size > most:
        raise BadRequest(
            f"The prompt has {size} bytes, and the model's context holds {calls.about.context} tokens, which are "
            f"{most} bytes at the very most. Shorten it, or send 'truncation': 'auto' to have its beginning cut off.",
            param,
            "context_length_exceeded",
        )
    return calls.tokenize([text])[0]


def _check_fit(
    text: str, tokens: Sequence[int], request: GenerationRequest, about: LanguageModel, param: str
) -> Prompt:
    if not tokens:
        raise BadRequest("The prompt is empty.", param, "invalid_value")
    room = about.context - len(tokens)
    if room < (request.tokens or 1):
        answer = f" and the answer may have {request.tokens}" if request.tokens else ""
        raise BadRequest(
            f"The prompt has {len(tokens)} tokens{answer}; the model's context holds {about.context}, and at least one "
            "is the answer's. Shorten it, ask for fewer tokens, or send 'truncation': 'auto' to have its beginning cut "
            "off.",
            param,
            "context_length_exceeded",
        )
    return Prompt(text, tuple(tokens), min(room, request.tokens or room))
