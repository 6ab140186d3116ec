"""The embedded model server: TensorFlow Serving's protocol over REST and gRPC, and its clients.

Nothing heavy is imported here: the clients come when they are first named, TensorFlow with
`serving.server.serve` and `serving.model.LoadedModel` only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.clients.async_client import AsyncClient
    from serving.clients.client import Client
    from serving.clients.reply import VersionStatus
    from serving.errors import ServingError

__all__ = ["AsyncClient", "Client", "ServingError", "VersionStatus"]


_MODULES = {
    "AsyncClient": "serving.clients.async_client",
    "Client": "serving.clients.client",
    "ServingError": "serving.errors",
    "VersionStatus": "serving.clients.reply",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
