"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}` with their HTTP status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from serving.errors import Code, InvalidArgument, ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = re.compile(r"(?:/openai)?/v1/(?:chat/completions|completions|embeddings)(?:\?.*)?|/openai/.*", re.DOTALL)
CLIENT_HEADER = "x-stainless-lang"
_INVALID = "invalid_request_error"
# HTTP status, type, and the code that OpenAI's clients look for.
_FORMS: dict[Code, tuple[int, str, str | None]] = {
    Code.INVALID_ARGUMENT: (400, _INVALID, None),
    Code.FAILED_PRECONDITION: (400, _INVALID, None),
    Code.OUT_OF_RANGE: (400, _INVALID, None),
    Code.UNAUTHENTICATED: (401, _INVALID, "invalid_api_key"),
    Code.PERMISSION_DENIED: (403, _INVALID, None),
    Code.NOT_FOUND: (404, _INVALID, "model_not_found"),
    Code.CANCELLED: (499, _INVALID, "cancelled"),
    Code.RESOURCE_EXHAUSTED: (429, "rate_limit_error", "rate_limit_exceeded"),
    Code.UNIMPLEMENTED: (501, _INVALID, "unsupported"),
    Code.UNAVAILABLE: (503, "server_error", "service_unavailable"),
    Code.DEADLINE_EXCEEDED: (504, "server_error", "timeout"),
}
_SERVER = (500, "server_error", None)


class BadRequest(InvalidArgument):
    """A field of a request is wrong.

    Args:
        message: What happened, what was expected, and what was received.
        param: The field, such as `messages[0].role`; None for the whole.
        reason: OpenAI's code, such as `context_length_exceeded`; None where it has none.
    """

    def __init__(self, message: str, param: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.param, self.reason = param, reason


def is_openai_request(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request of a raw path is answered in OpenAI's form: by its path, or since its client is OpenAI's own.

    All of OpenAI's clients send the header `X-Stainless-Lang`, and no other client does.
    """
    return bool(_PATH.fullmatch(path)) or CLIENT_HEADER in headers


def http_status(error: ServingError) -> int:
    """The HTTP status of an error."""
    return _FORMS.get(error.code, _SERVER)[0]


def error_object(error: ServingError) -> dict[str, object]:
    """An error as the value of `error`, in an answer or in an event of a stream."""
    _, kind, code = _FORMS.get(error.code, _SERVER)
    param, reason = (error.param, error.reason) if isinstance(error, BadRequest) else (None, code)
    return {"message": error.message.encode("utf-8", "replace").decode(), "type": kind, "param": param, "code": reason}


def error_body(error: ServingError) -> bytes:
    """An error as the body of an answer."""
    return orjson.dumps({"error": error_object(error)})


def refusal_body(message: str, code: Code) -> bytes:
    """A refusal of a request that was not read, as the body of an answer."""
    return error_body(ServingError(message, code))
