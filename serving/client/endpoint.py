"""The address of a server, the client's credentials, and connections that belong to one event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from serving.client.errors import closed_error
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    import os
    from collections.abc import Callable


_GRPC_PORT = 8500
_HOST = re.compile(r"[\w.:%-]+")
_SCHEMES = ("http", "https", "grpc", "grpcs")
_FORMS = "http://HOST:PORT, https://HOST, grpc://HOST:PORT, grpcs://HOST:PORT, unix:/PATH or HOST:PORT (gRPC)"
T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """A server's address with the client's credentials.

    Attributes:
        rest: Whether REST is spoken there; gRPC otherwise.
        secure: Whether over TLS.
        where: The base URL, or gRPC's name of the target.
        host: Empty for a UNIX socket.
        token: Bearer token, if any.
        ca: PEM of the authorities to trust; None for the usual ones.
        certificate: PEM files of the client's certificate and key, if any.
    """

    rest: bool
    secure: bool
    where: str
    host: str
    token: str | None = None
    ca: Path | None = None
    certificate: tuple[Path, Path] | None = None

    @property
    def is_local(self) -> bool:
        """Whether what is sent stays on this machine."""
        if self.host in {"", "localhost"}:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_endpoint(
    address: str,
    token: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    certificate: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    *,
    insecure: bool = False,
) -> Endpoint:
    """The endpoint of an address.

    Args:
        address: Its scheme picks the transport.
        token: Bearer token.
        ca: PEM file of the authorities to trust.
        certificate: PEM files of the client's certificate and key.
        insecure: Allow the token to travel unencrypted to another machine.

    Raises:
        InvalidArgument: No such form of address, or credentials that do not fit it.
    """
    rest, secure, where, host = _parse_address(address)
    files = tuple(Path(path) for path in (ca, *(certificate or ())) if path)
    _check_files(files, address, secure=secure)
    result = Endpoint(
        rest,
        secure,
        where,
        host,
        token,
        Path(ca) if ca else None,
        (Path(certificate[0]), Path(certificate[1])) if certificate else None,
    )
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise _endpoint_error(
            "The token cannot be sent.",
            "printable ASCII without spaces",
            f"{len(token)} characters, some of them others",
            "strip it of line ends",
        )
    if token and not (secure or result.is_local or insecure):
        raise _endpoint_error(
            "A token would travel unencrypted to another machine.",
            "an https:// or grpcs:// address",
            where,
            "use TLS, or pass insecure=True where the network between is trusted",
        )
    return result


def _parse_address(address: str) -> tuple[bool, bool, str, str]:
    """Whether REST, whether TLS, the target, the host."""
    if address.startswith("unix:"):
        if address.removeprefix("unix:").strip("/"):
            return False, False, address, ""
        raise _address_error(address)
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "bare", address
    elif scheme.lower() not in _SCHEMES:
        raise _address_error(address)
    return _parse_url(scheme.lower(), _split_url(f"//{rest}", address), address)


def _split_url(text: str, address: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port  # ValueError where it is no number
    except ValueError:
        raise _address_error(address) from None
    if (
        not _HOST.fullmatch(parts.hostname or "")
        or parts.username is not None
        or parts.query
        or parts.fragment
        or port == 0
    ):
        raise _address_error(address)
    return parts


def _parse_url(scheme: str, parts: SplitResult, address: str) -> tuple[bool, bool, str, str]:
    host = parts.hostname or ""
    host_text = f"[{host}]" if ":" in host else host
    if scheme in {"http", "https"}:
        port = f":{parts.port}" if parts.port else ""
        return True, scheme == "https", f"{scheme}://{host_text}{port}{parts.path.rstrip('/')}", host
    if parts.path.strip("/") or (scheme == "bare" and not parts.port):
        raise _address_error(address)
    return False, scheme == "grpcs", f"{host_text}:{parts.port or _GRPC_PORT}", host


def _check_files(files: tuple[Path, ...], address: str, *, secure: bool) -> None:
    if files and not secure:
        raise _endpoint_error(
            "Certificates are of no use without TLS.",
            "an https:// or grpcs:// address",
            address,
            "leave ca and certificate out, or change the address",
        )
    for path in files:
        if not path.is_file():
            raise _endpoint_error(
                "A certificate file is missing.", "a PEM file", str(path), "check the path of ca and certificate"
            )


def _address_error(address: str) -> InvalidArgument:
    # An address may hold a password: it is not repeated from where one would stand.
    without_password = address.rpartition("@")[2]
    return _endpoint_error(
        "This is no address of a model server.", _FORMS, repr(without_password), "use one of these forms"
    )


def _endpoint_error(what: str, expected: str, received: str, action: str) -> InvalidArgument:
    return InvalidArgument(f"{what}\nExpected: {expected}\nReceived: {received}\nNext: {action}")


class PerLoop(Generic[T]):
    """A value made in the running loop, and made anew in the next: sockets do not outlive their loop.

    Args:
        make: Makes the value; called within the loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: tuple[asyncio.AbstractEventLoop, T] | None = None
        self._ended: asyncio.AbstractEventLoop | None = None

    def get(self) -> T:
        """The value of the running loop.

        Raises:
            FailedPrecondition: It was ended in this loop.
        """
        loop = asyncio.get_running_loop()
        if loop is self._ended:
            raise closed_error()
        if self._held is None or self._held[0] is not loop:
            self._held = loop, self._make()
        return self._held[1]

    def end(self) -> T | None:
        """The value of the running loop, which gets no other one; None if there is none."""
        self._ended = asyncio.get_running_loop()
        held, self._held = self._held, None
        return held[1] if held and held[0] is self._ended else None
