"""What OpenAI's clients ask of a language model or of an encoder of texts, as a part of its OpenAPI document.

The fields are those that the server reads; OpenAI's own specification has more, which are refused or change nothing.
Source: https://github.com/openai/openai-openapi, paths /chat/completions, /completions and /embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.rest.openapi_schema import Schema

PREFIX = "/openai/v1"
_TEXT: Schema = {"type": "string"}
_FILLED: Schema = {"type": "string", "minLength": 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TOKENS: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63}
_TOKEN_LIST: Schema = {"type": "array", "minItems": 1, "items": _COUNT}
_STOP: Schema = {"type": "string", "minLength": 1, "maxLength": 1000}
_SHARED: dict[str, Schema] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1, "default": 1},
    "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1, "description": "Drawn where it is absent."},
    "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2, "default": 0},
    "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2, "default": 0},
    "logit_bias": {"type": "object", "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}},
    "n": {"type": "integer", "minimum": 1, "maximum": 128, "default": 1, "description": "Answers to each prompt."},
    "stop": {"anyOf": [_STOP, {"type": "array", "maxItems": 4, "items": _STOP}]},
    "max_tokens": _TOKENS,
    "stream": {"type": "boolean", "default": False, "description": "The answer as server-sent events."},
    "stream_options": {
        "type": "object",
        "properties": {"include_usage": {"type": "boolean"}},
        "description": "Needs stream. A stream with include_usage ends with its counts.",
    },
    "truncation": {
        "enum": ["auto", "disabled"],
        "description": "auto: a prompt that is too long is cut from the left.",
    },
}
_PART: Schema = {
    "type": "object",
    "properties": {"type": {"enum": ["text", "input_text"]}, "text": _TEXT},
    "required": ["type", "text"],
}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _PART}]},
        "name": _TEXT,
    },
    "required": ["role", "content"],
}
_CHAT: dict[str, Schema] = {
    **_SHARED,
    "messages": {"type": "array", "minItems": 1, "maxItems": 10_000, "items": _MESSAGE},
    "max_completion_tokens": _TOKENS,
    "logprobs": {"type": "boolean", "default": False},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20, "description": "Needs logprobs."},
}
_COMPLETION: dict[str, Schema] = {
    **_SHARED,
    "prompt": {
        "anyOf": [
            *(_FILLED, _TOKEN_LIST),
            {"type": "array", "minItems": 1, "maxItems": 128, "items": {"anyOf": [_FILLED, _TOKEN_LIST]}},
        ]
    },
    "logprobs": {"type": "integer", "minimum": 0, "maximum": 5},
    "echo": {"type": "boolean", "default": False, "description": "The answer begins with its prompt."},
}
_EMBEDDINGS: dict[str, Schema] = {
    "input": {"anyOf": [_FILLED, {"type": "array", "minItems": 1, "maxItems": 2048, "items": _FILLED}]},
    "encoding_format": {"enum": ["float", "base64"], "default": "float"},
}
_USAGE: Schema = {
    "type": "object",
    "properties": {"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT},
    "required": ["prompt_tokens", "total_tokens"],
}
_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {"type": "object", "properties": {"message": _TEXT, "type": _TEXT}, "required": ["message", "type"]}
    },
    "required": ["error"],
}
_ANSWERED: dict[str, Schema] = {"index": _COUNT, "finish_reason": {"enum": ["stop", "length"]}}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": 16},
    "completions": {"prompt": "Hello", "max_tokens": 16},
    "embeddings": {"input": ["Hello"]},
}


def paths(model: str, *, writes: bool, embeds: bool) -> dict[str, Any]:
    """Returns the paths at which a model writes texts or embeds them; none where it does neither.

    Args:
        model: Its name, the field `model` of each request.
        writes: Whether it is a language model.
        embeds: Whether it makes embeddings of texts.
    """
    vector = {"anyOf": [{"type": "array", "items": {"type": "number"}}, _TEXT]}
    forms: dict[str, tuple[dict[str, Schema], str, str, dict[str, Schema]]] = {}
    if writes:
        forms["chat/completions"] = (_CHAT, "messages", "choices", {**_ANSWERED, "message": _MESSAGE})
        forms["completions"] = (_COMPLETION, "prompt", "choices", {**_ANSWERED, "text": _TEXT})
    if embeds:
        forms["embeddings"] = (_EMBEDDINGS, "input", "data", {"index": _COUNT, "embedding": vector})
    return {f"{PREFIX}/{path}": {"post": _operation(model, path, *form)} for path, form in forms.items()}


def _operation(
    model: str, path: str, fields: dict[str, Schema], needed: str, listed: str, item: dict[str, Schema]
) -> dict[str, Any]:
    asked = {
        "type": "object",
        "properties": {"model": {"const": model}, **fields},
        "required": ["model", needed],
    }
    answer = {
        "type": "object",
        "properties": {
            "object": _TEXT,
            "model": _TEXT,
            listed: {"type": "array", "items": {"type": "object", "properties": item, "required": [*item]}},
            "usage": _USAGE,
        },
        "required": ["object", "model", listed, "usage"],
    }
    example = {"value": {"model": model, **_EXAMPLES[path]}}
    streamed = {"text/event-stream": {"schema": _TEXT}} if "stream" in fields else {}
    return {
        "operationId": path.replace("/", "-"),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": asked, "examples": {"a short one": example}}},
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": answer}, **streamed},
            },
            "default": {"description": "An error.", "content": {"application/json": {"schema": _ERROR}}},
        },
    }
