"""The paths of the REST API.

They are matched undecoded, so that a model's name may contain `%2F` and `%3A`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from serving.core.models import ModelSpec
from serving.errors import InvalidArgument

_TARGET = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_API = re.compile(r"/v1/.*", re.IGNORECASE)
_MAX_VERSION = 2**63
_MAX_DIGITS = 1000  # longer ones only cost time
_MAX_CACHED = 256  # characters; longer paths are not cached
_POST = re.compile(rf"/v1/models/([^/:]+){_TARGET}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_GET = re.compile(rf"/v1/models(?:/([^/:]+))?{_TARGET}(?:/(metadata))?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Route:
    """The model and method of a request's path.

    Attributes:
        action: `predict`, `classify`, `regress`, `metadata` or `status`.
        spec: The model, with version or label.
    """

    action: str
    spec: ModelSpec


def is_api(path: str) -> bool:
    """Whether a path belongs to the REST API at all."""
    return bool(_API.fullmatch(path))


def find_route(method: str, path: str) -> Route:
    """The route of a request line.

    Args:
        method: HTTP method.
        path: Raw path with its query string, which is never taken off.

    Raises:
        InvalidArgument: `Malformed request: METHOD PATH`, or a version beyond int64.
    """
    return _cached_route(method, path) if len(path) < _MAX_CACHED else _match_route(method, path)


def _match_route(method: str, path: str) -> Route:
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if not match:
        raise InvalidArgument(f"Malformed request: {method} {path}")
    name, version, label, word = match.groups()
    action = word if method == "POST" else ("metadata" if word == "metadata" else "status")
    if action != action.lower():  # the pattern ignores case, the verb does not
        raise InvalidArgument(f"Malformed request: {method} {path}")
    if not name:
        raise InvalidArgument("Missing model name in request.")
    return Route(action, ModelSpec(_decode(name), _parse_version(version), _decode(label) if label else None))


_cached_route = lru_cache(maxsize=256)(_match_route)  # clients request the same few paths again and again


def _decode(part: str) -> str:
    return unquote(part, errors="surrogateescape")


def _parse_version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits) > _MAX_DIGITS or int(digits) >= _MAX_VERSION:
        raise InvalidArgument(f"Failed to convert version: {digits} to numeric.")
    return int(digits)
