"""Our own pages, outside of TensorFlow Serving's `/v1`: health, readiness, the list of models, OpenAPI, metrics.

They answer at once, from what is in memory, except for the warm-up file that a model's examples come from.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote

from serving.core.models import ModelSpec
from serving.core.servable import ServableState
from serving.errors import ServingError
from serving.rest import openapi, openapi_examples
from serving.rest.parser import Response
from serving.wire import json_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serving.core.models import Models
    from serving.core.servable import Servable

_MODELS = "/models"
_OPENAPI = "/openapi.json"


class ServerState(Protocol):
    """The state of the server that the pages report.

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

    def model_names(self) -> Iterable[str]:
        """Names of the models that are to be served."""

    def metrics(self) -> bytes:
        """The Prometheus page."""

    def canary(self) -> dict[str, Any]:
        """What both sides of each canary have answered."""


def answer_page(method: str, path: str, state: ServerState) -> Response | None:
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
        return Response(
            405, json_writer.error_body(f"Malformed request: {method} {path}"), headers="Allow: GET, HEAD\r\n"
        )
    return _openapi_page(state, plain) if plain not in _PAGES else _PAGES[plain](state)


def _is_page(path: str) -> bool:
    return path in _PAGES or _model_of_path(path) is not None


def _model_of_path(path: str) -> str | None:
    """The model of a `/models/NAME/openapi.json`."""
    name = path.removeprefix(f"{_MODELS}/").removesuffix(_OPENAPI)
    fits = path == f"{_MODELS}/{name}{_OPENAPI}" and name and "/" not in name
    return unquote(name, errors="surrogateescape") if fits else None


def _json_page(content: Any, status: int = 200) -> Response:
    text = json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False)
    return Response(status, f"{text}\n".encode())


def _health_page(_state: ServerState) -> Response:
    return _json_page({"status": "ok"})


def _readiness_page(state: ServerState) -> Response:
    served = state.models.available()
    missing = {
        name: _missing_reason(state.models, name) for name in sorted(set(state.model_names())) if name not in served
    }
    ready = not missing and not state.draining
    status = "ready" if ready else "draining" if state.draining else "loading"
    return _json_page({"status": status, "missing": missing}, 200 if ready else 503)


def _missing_reason(models: Models, name: str) -> str:
    """State and error of a model's highest version."""
    versions = models.versions(name)
    if not versions:
        return "no version found"
    servable = versions[max(versions)]
    error = servable.error or servable.last_error
    return f"version {servable.version} is in state {servable.state.name}{f': {error.message}' if error else ''}"


def _models_page(state: ServerState) -> Response:
    return _json_page([_describe_model(state, name) for name in state.models.names()])


def _canary_page(state: ServerState) -> Response:
    return _json_page(state.canary())


def _describe_model(state: ServerState, name: str) -> dict[str, Any]:
    labels = dict(state.models.labels(name))
    encoded = quote(name, safe="", errors="surrogateescape")
    url = f"{state.url}/v1/models/{encoded}"
    return {
        "name": name,
        "versions": [
            _describe_version(servable, labels)
            for _, servable in sorted(state.models.versions(name).items(), reverse=True)
        ],
        "labels": labels,
        "signatures": _signatures(state.models, name),
        "urls": {
            "status": url,
            "metadata": f"{url}/metadata",
            "predict": f"{url}:predict",
            "openapi": f"{state.url}{_MODELS}/{encoded}{_OPENAPI}",
        },
    }


def _describe_version(servable: Servable, labels: dict[str, int]) -> dict[str, Any]:
    named = sorted(label for label, version in labels.items() if version == servable.version)
    error = (
        {"error": servable.error.message} if servable.error and servable.state is not ServableState.AVAILABLE else {}
    )
    return {"version": servable.version, "state": servable.state.name, "labels": named, **error}


def _signatures(models: Models, name: str) -> list[str]:
    try:
        with models.lease(ModelSpec(name)) as (_, model):
            return list(model.signatures)
    except ServingError:  # none is loaded
        return []


def _openapi_page(state: ServerState, path: str) -> Response:
    name = _model_of_path(path) or ""
    try:
        with state.models.lease(ModelSpec(name)) as (servable, model):
            samples = openapi_examples.read_samples(model.path)
            content = openapi.document(name, servable.version, model.signatures, state.url, samples, model.reserved)
            return _json_page(content)
    except ServingError as error:
        return Response(404, json_writer.error_body(error.message))


_PAGES: dict[str, Callable[[ServerState], Response]] = {
    "/healthz": _health_page,
    "/readyz": _readiness_page,
    _MODELS: _models_page,
    "/canary": _canary_page,
}
