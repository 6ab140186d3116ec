"""Who may ask: bearer tokens and TLS, for both transports."""

from __future__ import annotations

import hmac
import ssl
from typing import TYPE_CHECKING

from serving import ssl_config
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import grpc

    from serving.options import Security

_OPEN = frozenset({b"/healthz", b"/readyz"})  # probes of orchestrators carry no token


def allows(token: str) -> Callable[[str], bool]:
    """A check of `Authorization` values; everything passes where there is no token."""
    if not token:
        return lambda _: True
    wanted = token.encode()

    def check(authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted)

    return check


def allows_rest(token: str) -> Callable[[str, bytes, str], bool]:
    """A check of method, path and `Authorization`; probes need no token, nor do a browser's questions."""
    check = allows(token)
    return lambda method, path, authorization: path in _OPEN or method == "OPTIONS" or check(authorization)


def rest_context(security: Security) -> ssl.SSLContext | None:
    """TLS of the REST server; None for none.

    Raises:
        InvalidArgument: A file cannot be read, or holds no such thing.
    """
    if security.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(security.certificate, security.key)
        if security.client_ca:
            context.load_verify_locations(security.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(
            f"TLS cannot be set up.\nExpected: PEM files with a certificate chain and its key\n"
            f"Received: {security.certificate}, {security.key}: {error}\n"
            "Next: check --tls-certificate and --tls-key"
        ) from error
    return context


def grpc_credentials(security: Security) -> grpc.ServerCredentials | None:
    """TLS of the gRPC server; None for none.

    Raises:
        InvalidArgument: A file cannot be read.
    """
    import grpc

    if security.grpc_ssl_config_file:
        found = ssl_config.read(security.grpc_ssl_config_file)
        key, chain, authority, verify = found.key, found.certificate, found.client_ca, found.client_verify
    elif security.certificate and security.key:
        key, chain = _read(security.key), _read(security.certificate)
        authority = _read(security.client_ca) if security.client_ca else None
        verify = authority is not None
    else:
        return None
    return grpc.ssl_server_credentials([(key, chain)], root_certificates=authority or None, require_client_auth=verify)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"TLS cannot be set up. Expected: a PEM file\nReceived: {error}") from error
