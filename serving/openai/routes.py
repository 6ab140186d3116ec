"""Which requests are OpenAI's.

`/openai/v1/…` is the whole API, for any client (`base_url="http://HOST:8501/openai/v1"`). `/v1/chat/completions`,
`/v1/completions` and `/v1/embeddings`, which TensorFlow Serving has no use for, are there as well. `/v1/models` and
`/v1/models/NAME` belong to TensorFlow Serving and answer as it does; a client gets OpenAI's lists there only if it says
that it is one of OpenAI's, by the header `X-Stainless-Lang` that all of these send and no other client does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from serving.wire.openai_errors import CLIENT_HEADER

if TYPE_CHECKING:
    from serving.rest.parser import Request

_PREFIX = "/openai/"
_POSTS = {"chat/completions": "chat", "completions": "completions", "embeddings": "embeddings"}
_MODELS = re.compile(r"models(?:/(?P<name>[^/]+))?")


def find_action(request: Request) -> tuple[str, str] | None:
    """What a request wants: `chat`, `completions`, `embeddings`, `models` or `model` with a name; None if not ours.

    The action is `method` where only another method would do, and `unknown` where there is no such path.
    """
    path = request.path.partition("?")[0]
    is_ours = path.startswith(_PREFIX)
    rest = path.removeprefix(_PREFIX[:-1]).removeprefix("/v1/") if path.startswith(("/openai/v1/", "/v1/")) else ""
    if rest in _POSTS:
        return (
            (_POSTS[rest], "") if request.method == "POST" else None if request.method == "OPTIONS" else ("method", "")
        )
    is_client = is_ours or CLIENT_HEADER in request.headers
    if is_client and request.method in {"GET", "HEAD"} and (match := _MODELS.fullmatch(rest)):
        name = match["name"]
        return ("models", "") if name is None else ("model", unquote(name, errors="surrogateescape"))
    return ("unknown", "") if is_ours and request.method != "OPTIONS" else None
