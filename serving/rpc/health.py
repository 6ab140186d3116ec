"""gRPC's health service, under the names that TensorFlow Serving gives its services.

The two messages are one field each, so they are read and written here instead of through another package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

# The full names are what clients of other servers ask for.
_SERVICES = frozenset(
    prefix + name for name in (b"ModelService", b"PredictionService") for prefix in (b"", b"tensorflow.serving.")
) | {b""}
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"  # HealthCheckResponse{status}


def telling(draining: Callable[[], bool]) -> dict[str, Callable[[bytes], bytes]]:
    """What answers health checks, by the method's path (grpc/health/v1/health.proto)."""

    def check(request: bytes) -> bytes:
        if _service(request) not in _SERVICES:
            raise NotFound("unknown service")
        return _NOT_SERVING if draining() else _SERVING

    return {"/grpc.health.v1.Health/Check": check}


def _service(request: bytes) -> bytes:
    """The one field of a `HealthCheckRequest`; nothing else is expected in it.

    Its length fills one byte for every name that is known; what is longer is none of them.
    """
    return request[2:] if request.startswith(b"\x0a") else b""
