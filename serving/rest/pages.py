"""Our own pages, outside of TensorFlow Serving's `/v1`: health, readiness, the list of models, their OpenAPI.

They answer at once, from what is in memory, except for the warm-up file that a model's examples come from.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote

from serving.core.models import Spec
from serving.core.servable import State
from serving.errors import ServingError
from serving.rest import openapi, sample
from serving.rest.message import Response
from serving.wire import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serving.core.models import Models
    from serving.core.servable import Servable

_MODELS = "/models"
_OPENAPI = "/openapi.json"


class ServerState(Protocol):
    """What the pages tell about.

    Attributes:
        models: What is served.
        draining: Whether the server is going away.
        monitoring_path: Path of the Prometheus page; None for none.
        url: Address of the REST API as clients reach it, such as `http://127.0.0.1:8501`.
    """

    models: Models
    draining: bool
    monitoring_path: str | None
    url: str

    def wanted(self) -> Iterable[str]:
        """Names of the models that are to be served."""

    def metrics(self) -> bytes:
        """The Prometheus page."""

    def canary(self) -> dict[str, Any]:
        """What both sides of each canary have answered."""


def answer(method: str, path: str, state: ServerState) -> Response | None:
    """The page at a path; None where there is none of ours.

    Args:
        method: HTTP method.
        path: Raw path with its query string, which counts for Prometheus' page, as upstream, and no other.
        state: The server.
    """
    if path == state.monitoring_path:
        return Response(200, state.metrics(), "text/plain")
    plain = path.partition("?")[0]
    if not _is_page(plain):
        return None
    if method not in {"GET", "HEAD"}:
        return Response(405, json_text.error(f"Malformed request: {method} {path}"), headers="Allow: GET, HEAD\r\n")
    return _document(state, plain) if plain not in _PAGES else _PAGES[plain](state)


def _is_page(path: str) -> bool:
    return path in _PAGES or _named(path) is not None


def _named(path: str) -> str | None:
    """The model of a `/models/NAME/openapi.json`."""
    name = path.removeprefix(f"{_MODELS}/").removesuffix(_OPENAPI)
    fits = path == f"{_MODELS}/{name}{_OPENAPI}" and name and "/" not in name
    return unquote(name, errors="surrogateescape") if fits else None


def _json(content: Any, status: int = 200) -> Response:
    text = json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False)
    return Response(status, f"{text}\n".encode())


def _healthy(_state: ServerState) -> Response:
    return _json({"status": "ok"})


def _ready(state: ServerState) -> Response:
    served = state.models.available()
    missing = {name: _why(state.models, name) for name in sorted(set(state.wanted())) if name not in served}
    ready = not missing and not state.draining
    status = "ready" if ready else "draining" if state.draining else "loading"
    return _json({"status": status, "missing": missing}, 200 if ready else 503)


def _why(models: Models, name: str) -> str:
    """State and error of a model's highest version."""
    versions = models.of(name)
    if not versions:
        return "no version found"
    servable = versions[max(versions)]
    error = servable.error or servable.trouble
    return f"version {servable.version} is in state {servable.state.name}{f': {error.message}' if error else ''}"


def _list(state: ServerState) -> Response:
    return _json([_model(state, name) for name in state.models.names()])


def _canary(state: ServerState) -> Response:
    return _json(state.canary())


def _model(state: ServerState, name: str) -> dict[str, Any]:
    labels = dict(state.models.labels(name))
    encoded = quote(name, safe="", errors="surrogateescape")
    url = f"{state.url}/v1/models/{encoded}"
    return {
        "name": name,
        "versions": [_version(one, labels) for _, one in sorted(state.models.of(name).items(), reverse=True)],
        "labels": labels,
        "signatures": _signatures(state.models, name),
        "urls": {
            "status": url,
            "metadata": f"{url}/metadata",
            "predict": f"{url}:predict",
            "openapi": f"{state.url}{_MODELS}/{encoded}{_OPENAPI}",
        },
    }


def _version(servable: Servable, labels: dict[str, int]) -> dict[str, Any]:
    named = sorted(label for label, version in labels.items() if version == servable.version)
    error = {"error": servable.error.message} if servable.error and servable.state is not State.AVAILABLE else {}
    return {"version": servable.version, "state": servable.state.name, "labels": named, **error}


def _signatures(models: Models, name: str) -> list[str]:
    try:
        with models.lease(Spec(name)) as (_, model):
            return list(model.signatures)
    except ServingError:  # none is loaded
        return []


def _document(state: ServerState, path: str) -> Response:
    name = _named(path) or ""
    try:
        with state.models.lease(Spec(name)) as (servable, model):
            samples = sample.recorded(model.path)
            return _json(openapi.document(name, servable.version, model.signatures, state.url, samples))
    except ServingError as error:
        return Response(404, json_text.error(error.message))


_PAGES: dict[str, Callable[[ServerState], Response]] = {
    "/healthz": _healthy,
    "/readyz": _ready,
    _MODELS: _list,
    "/canary": _canary,
}
