"""Models as OpenAI's clients name and list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.core.models import ModelSpec
from serving.core.signature import LANGUAGE_FILE
from serving.errors import NotFound, ServingError

if TYPE_CHECKING:
    from serving.core.models import Models
    from serving.core.servable import ServableHandle

_LONGEST = 100  # characters of a name in an error


def acquire(models: Models, name: str, body: bytes = b"") -> ServableHandle:
    """The version that a request means by NAME or NAME@VERSION, held for it.

    Raises:
        NotFound: It is not served.
    """
    try:
        return models.acquire(_spec(models, name), body)
    except NotFound:
        shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
        raise NotFound(f"The model '{shown}' is not served. GET /openai/v1/models lists those that are.") from None


def _spec(models: Models, name: str) -> ModelSpec:
    plain, _, number = name.rpartition("@")
    is_version = plain and number.isascii() and number.isdecimal() and len(number) < 20  # noqa: PLR2004 - digits of int64
    return ModelSpec(plain, int(number)) if is_version and not models.versions(name) else ModelSpec(name)


def list_models(models: Models) -> dict[str, Any]:
    """The models that write text or make embeddings."""
    described = [describe_model(models, name) for name in models.available()]
    return {"object": "list", "data": [content for content in described if content]}


def describe_model(models: Models, name: str) -> dict[str, Any] | None:
    """OpenAI's object of a model; None for one that neither writes text nor makes embeddings.

    Raises:
        NotFound: It is not served.
    """
    try:
        with models.lease(_spec(models, name)) as (servable, model):
            if not ((model.path / LANGUAGE_FILE).is_file() or "embed" in model.signatures):
                return None
            created = int((model.path).stat().st_mtime)
            return {
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": "keraspipe",
                "version": servable.version,
            }
    except (ServingError, OSError):
        return None
