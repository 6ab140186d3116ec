"""Reads the bodies of chat and completion requests; knows no model."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from serving.generation.sampling import Sampling
from serving.openai.fields import Fields, show
from serving.wire.openai_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAMPLING = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "logit_bias")
_SHARED = (*_SAMPLING, "model", "n", "stop", "max_tokens", "stream", "stream_options", "logprobs", "truncation")
_IGNORED = (
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
)
_CHAT = (*_SHARED, *_IGNORED, "messages", "max_completion_tokens", "top_logprobs")
_COMPLETION = (*_SHARED, *_IGNORED, "prompt", "echo", "best_of")
# What changes nothing at these values, and cannot be done at any other.
_CHAT_FIXED: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}
_COMPLETION_FIXED: Mapping[str, tuple[Any, ...]] = {"suffix": ("",)}
_ROLES = ("system", "developer", "user", "assistant")
_STOPS, _STOP_CHARACTERS = 4, 1000
_INT64 = 2**63
_MOST_CHOICES = 128
_COMPLETION_TOKENS = 16  # OpenAI's default
_MOST_MESSAGES = 10_000


@dataclass(frozen=True)
class GenerationRequest:
    """A request for text.

    Attributes:
        model: Its name.
        is_chat: Whether it is a conversation.
        messages: Of a conversation, each with `role` and `content`.
        prompts: Of completions: texts, or lists of tokens.
        sampling: How tokens are drawn.
        choices: Answers to each prompt.
        tokens: Of an answer at most; None for as many as the context holds.
        stops: Texts that end an answer.
        logprobs: How many likely tokens are given for each token; None for no such thing.
        stream: Whether the answer comes piece by piece.
        with_usage: Whether a stream ends with its counts.
        cuts: Whether a prompt that is too long is cut at its beginning.
        echo: Whether a completion begins with its prompt.
    """

    model: str
    is_chat: bool
    messages: tuple[dict[str, str], ...]
    prompts: tuple[str | tuple[int, ...], ...]
    sampling: Sampling
    choices: int
    tokens: int | None
    stops: tuple[str, ...]
    logprobs: int | None
    stream: bool
    with_usage: bool
    cuts: bool
    echo: bool = False


def parse_body(body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        BadRequest: It is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is no JSON: {error}") from error


def read_chat(content: Any) -> GenerationRequest:
    """Reads the body of /v1/chat/completions.

    Raises:
        BadRequest: A field is wrong.
    """
    fields = Fields(content)
    fields.check_known(_CHAT, _CHAT_FIXED)
    messages = _read_messages(fields)
    logprobs = None
    if fields.flag("logprobs"):
        logprobs = fields.integer("top_logprobs", 0, 0, 20)
    elif fields.content.get("top_logprobs"):
        raise BadRequest("'top_logprobs' needs 'logprobs': true.", "top_logprobs", "invalid_value")
    limit = "max_completion_tokens" if "max_completion_tokens" in fields.content else "max_tokens"
    tokens = fields.integer(limit, None, 1, _INT64)
    return GenerationRequest(
        is_chat=True, messages=messages, prompts=(), tokens=tokens, logprobs=logprobs, **_read_shared(fields)
    )


def read_completion(content: Any) -> GenerationRequest:
    """Reads the body of /v1/completions.

    Raises:
        BadRequest: A field is wrong.
    """
    fields = Fields(content)
    fields.check_known(_COMPLETION, _COMPLETION_FIXED)
    shared = _read_shared(fields)
    best = fields.integer("best_of", shared["choices"], 1, _MOST_CHOICES)
    if best != shared["choices"]:
        raise BadRequest(
            "'best_of' other than 'n' is not supported by this server.", "best_of", "unsupported_parameter"
        )
    return GenerationRequest(
        is_chat=False,
        messages=(),
        prompts=_read_prompts(fields),
        tokens=fields.integer("max_tokens", _COMPLETION_TOKENS, 1, _INT64),
        logprobs=fields.integer("logprobs", None, 0, 5),
        echo=fields.flag("echo"),
        **shared,
    )


def _read_shared(fields: Fields) -> dict[str, Any]:
    stream = fields.flag("stream")
    if "stream_options" in fields.content and not stream:
        raise BadRequest("'stream_options' needs 'stream': true.", "stream_options", "invalid_value")
    return {
        "model": fields.text("model"),
        "sampling": _read_sampling(fields),
        "choices": fields.integer("n", 1, 1, _MOST_CHOICES) or 1,
        "stops": _read_stops(fields),
        "stream": stream,
        "with_usage": stream and _read_stream_options(fields),
        "cuts": fields.choice("truncation", ("auto", "disabled"), "disabled") == "auto",
    }


def _read_stream_options(fields: Fields) -> bool:
    options = Fields(fields.content.get("stream_options", {}), "stream_options")
    options.check_known(("include_usage", "include_obfuscation"), {})
    return options.flag("include_usage")


def _read_sampling(fields: Fields) -> Sampling:
    seed = fields.integer("seed", None, -_INT64, _INT64 - 1)
    return Sampling(
        temperature=fields.number("temperature", 1.0, 0.0, 2.0),
        top_p=fields.number("top_p", 1.0, 0.0, 1.0),
        seed=secrets.randbits(63) if seed is None else seed,
        frequency_penalty=fields.number("frequency_penalty", 0.0, -2.0, 2.0),
        presence_penalty=fields.number("presence_penalty", 0.0, -2.0, 2.0),
        bias=_read_bias(fields),
    )


def _read_bias(fields: Fields) -> dict[int, float]:
    biases = Fields(fields.content.get("logit_bias", {}), "logit_bias")
    if not all(token.isascii() and token.isdecimal() and len(token) < 10 for token in biases.content):  # noqa: PLR2004
        raise fields.error("logit_bias", "numbers of tokens as names")
    return {int(token): biases.number(token, 0.0, -100.0, 100.0) for token in biases.content}


def _read_stops(fields: Fields) -> tuple[str, ...]:
    value = fields.content.get("stop", [])
    stops = [value] if isinstance(value, str) else value
    fits = isinstance(stops, list) and len(stops) <= _STOPS and all(isinstance(stop, str) for stop in stops)
    if not fits or not all(0 < len(stop) <= _STOP_CHARACTERS for stop in stops):
        raise fields.error("stop", f"a text, or a list of up to {_STOPS} texts, of 1 to {_STOP_CHARACTERS} characters")
    return tuple(stops)


def _read_prompts(fields: Fields) -> tuple[str | tuple[int, ...], ...]:
    expected = "a text, a list of texts, a list of tokens, or a list of lists of tokens; none of them empty"
    value = fields.content.get("prompt")
    prompts = value if isinstance(value, list) and not _are_tokens(value) else [value]
    if not prompts or not all((isinstance(each, str) and each) or _are_tokens(each) for each in prompts):
        raise fields.error("prompt", expected)
    if len(prompts) > _MOST_CHOICES:
        raise fields.error("prompt", f"at most {_MOST_CHOICES} prompts")
    return tuple(each if isinstance(each, str) else tuple(each or ()) for each in prompts)


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _read_messages(fields: Fields) -> tuple[dict[str, str], ...]:
    listed = fields.listed("messages", "a list of at least one message")
    if len(listed) > _MOST_MESSAGES:
        raise fields.error("messages", f"at most {_MOST_MESSAGES} messages")
    messages = tuple(_read_message(Fields(each, f"messages[{place}]")) for place, each in enumerate(listed))
    if not any(message["content"].strip() for message in messages):
        raise BadRequest("'messages' hold no text: the prompt is empty.", "messages", "invalid_value")
    return messages


def _read_message(fields: Fields) -> dict[str, str]:
    role = fields.choice("role", _ROLES, "")
    fields.check_known(
        ("role", "content", "name"),
        {"tool_calls": ([],), "refusal": (), "audio": (), "function_call": (), "annotations": ([],)},
    )
    message = {"role": "system" if role == "developer" else role, "content": _read_content(fields)}
    return message | ({"name": fields.text("name")} if "name" in fields.content else {})


def _read_content(fields: Fields) -> str:
    content = fields.content.get("content")
    if not isinstance(content, list):
        return fields.text("content")
    return "".join(_read_part(Fields(part, f"{fields.name('content')}[{place}]")) for place, part in enumerate(content))


def _read_part(fields: Fields) -> str:
    if fields.text("type") not in {"text", "input_text"}:
        raise BadRequest(
            f"'{fields.name('type')}' is not supported: this server's models read texts only. "
            f"Received: {show(fields.content['type'])}",
            fields.name("type"),
            "unsupported_value",
        )
    return fields.text("text")
