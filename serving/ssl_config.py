"""`--ssl_config_file`: TLS of the gRPC port."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from serving import text_proto
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path


class SslConfig(NamedTuple):
    """What `grpc.ssl_server_credentials` takes; all PEM.

    Attributes:
        key: The server's private key.
        certificate: The server's certificate chain.
        client_ca: Authorities of client certificates; None for the system's.
        client_verify: Whether a client must show a certificate.
    """

    key: bytes
    certificate: bytes
    client_ca: bytes | None
    client_verify: bool


def read(path: Path) -> SslConfig:
    """The contents of an `SSLConfig` in text form.

    Raises:
        InvalidArgument: Key or certificate is missing; upstream would start and refuse every client.
        ServingError: The file is missing or is no `SSLConfig`.
    """
    message = text_proto.read(path, "SSLConfig")
    missing = [name for name in ("server_key", "server_cert") if not getattr(message, name)]
    if missing:
        raise InvalidArgument(f"Invalid SSLConfig file: '{path}': {' and '.join(missing)} must be set")
    return SslConfig(
        message.server_key.encode(),
        message.server_cert.encode(),
        message.custom_ca.encode() or None,
        message.client_verify,
    )
