"""The embedded model server: TensorFlow Serving's protocol over REST and gRPC, and its clients.

Nothing heavy is imported here: the clients are imported on first use, TensorFlow with
`serving.process.server.serve` and `serving.core.model.LoadedModel` only. `serving.server_core`
shows how a request passes through the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.async_client import AsyncClient
    from serving.client.client import Client
    from serving.client.types import VersionStatus
    from serving.errors import ServingError

__all__ = ["AsyncClient", "Client", "ServingError", "VersionStatus"]


_MODULES = {
    "AsyncClient": "serving.client.async_client",
    "Client": "serving.client.client",
    "ServingError": "serving.errors",
    "VersionStatus": "serving.client.types",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
