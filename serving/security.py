"""Bearer tokens and TLS, for both transports."""

from __future__ import annotations

import hmac
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serving.config import files
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from serving.options import Security

_OPEN = frozenset({b"/healthz", b"/readyz"})  # probes of orchestrators carry no token
_API = (b"/v1/models/", b"/v1/chat/", b"/v1/completions", b"/v1/embeddings", b"/openai/")  # of CORS preflight requests


def token_check(token: str) -> Callable[[str], bool]:
    """A check of `Authorization` values, in constant time; accepts everything if there is no token."""
    if not token:
        return lambda _: True
    wanted = token.encode()

    def check(authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip(" ").encode("utf-8", "replace"), wanted)

    return check


def control_check(options: Security) -> Callable[[str], bool]:
    """A check of `Authorization` values of calls that change what is served."""
    if options.control_token:
        return token_check(options.control_token)
    return token_check(options.token) if options.control_open else lambda _: False


def rest_token_check(token: str) -> Callable[[str, bytes, str], bool]:
    """A check of method, path and `Authorization`; probes need no token, nor do a browser's questions to the API."""
    check = token_check(token)

    def check_request(method: str, path: bytes, authorization: str) -> bool:
        asks = method == "OPTIONS" and path.lower().startswith(_API)  # not the pages: they answer every method
        return path in _OPEN or asks or check(authorization)

    return check_request


class _Pem(NamedTuple):
    key: bytes
    chain: bytes
    authority: bytes | None
    verify: bool


def rest_tls_context(security: Security) -> ssl.SSLContext | None:
    """TLS of the REST server; None for none.

    Raises:
        InvalidArgument: A file cannot be read, or holds no such thing.
    """
    if _is_plain(security):
        return None
    return _tls_context(_pem_from_files(security), f"{security.certificate}, {security.key}, {security.client_ca}")


def grpc_credentials(security: Security) -> grpc.ServerCredentials | None:
    """TLS of the gRPC server; None for none.

    Raises:
        InvalidArgument: A file cannot be read, or holds no such thing, which grpc would only find out with each client.
    """
    import grpc

    if security.grpc_ssl_config_file:
        pem, source = _pem_from_config(Path(security.grpc_ssl_config_file)), str(security.grpc_ssl_config_file)
    elif not _is_plain(security):
        pem, source = _pem_from_files(security), f"{security.certificate}, {security.key}, {security.client_ca}"
    else:
        return None
    _tls_context(pem, source)
    authority = pem.authority if pem.verify else None  # grpc would ask for a certificate that need not be shown
    return grpc.ssl_server_credentials([(pem.key, pem.chain)], authority, require_client_auth=pem.verify)


def _is_plain(security: Security) -> bool:
    """Whether TLS has no certificate files; a certificate without its key is an error."""
    if security.certificate and security.key:
        return False
    given = [name for name in ("certificate", "key", "client_ca") if getattr(security, name)]
    if given:
        raise _tls_error("certificate and key", f"only {', '.join(given)}")
    return True


def _pem_from_files(security: Security) -> _Pem:
    authority = _read_pem(security.client_ca) if security.client_ca else None
    return _Pem(_read_pem(security.key), _read_pem(security.certificate), authority, authority is not None)


def _pem_from_config(path: Path) -> _Pem:
    config = files.read_ssl_config(path)
    authority = config.client_ca
    if config.client_verify and authority is None:
        system = ssl.get_default_verify_paths().cafile
        if not system:
            raise _tls_error("custom_ca, as this machine names no authorities of its own", str(path))
        authority = _read_pem(Path(system))
    return _Pem(config.key, config.certificate, authority, config.client_verify)


def _tls_context(pem: _Pem, source: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with tempfile.NamedTemporaryFile() as file:  # readable by its owner only; ssl reads keys from nowhere else
            file.write(pem.key + b"\n" + pem.chain)
            file.flush()
            context.load_cert_chain(file.name, password="")  # else it would ask the terminal for one
        if pem.authority is not None and pem.verify:
            context.load_verify_locations(cadata=pem.authority.decode("ascii", "replace"))
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _tls_error("PEM: a certificate chain, its key without a password, authorities", source, error) from error
    return context


def _read_pem(path: Path | None) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise _tls_error("a PEM file", str(path), error) from error


def _tls_error(expected: str, received: str, error: Exception | None = None) -> InvalidArgument:
    return InvalidArgument(
        f"TLS cannot be set up.\nExpected: {expected}\nReceived: {received}{f': {error}' if error else ''}\n"
        "Next: check --tls-certificate, --tls-key and --tls-client-ca, or --ssl_config_file"
    )
