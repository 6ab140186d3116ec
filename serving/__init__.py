"""The embedded model server: TensorFlow Serving's protocol over REST and gRPC, and its clients.

Nothing heavy is imported here: the clients come when they are first named, TensorFlow with
`serving.server.serve` and `serving.model.LoadedModel` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from serving import client

    return getattr(client, name)
