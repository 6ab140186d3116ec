"""Certificates of the gateway: one that signs itself, and what one says."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = ("localhost", "127.0.0.1")
DAYS = 397  # browsers refuse certificates that are valid for longer
LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
HOST = re.compile(rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*")


def self_signed(hosts: Iterable[str]) -> tuple[str, str]:
    """A new certificate and its key, both PEM, for these names or addresses and for this machine.

    Raises:
        UsageError: A host is neither a name nor an address.
        PipelineError: The package `cryptography` is missing.
    """
    names = list(dict.fromkeys([*map(checked, hosts), *HERE]))
    _cryptography()
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key, names).public_bytes(form.Encoding.PEM)
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return certificate.decode(), secret.decode()


def checked(host: str) -> str:
    """The host, if it is a name or an address.

    Raises:
        UsageError: It is neither.
    """
    if is_host(host):
        return host
    raise UsageError(
        "A certificate is for names and addresses.",
        expected="a name such as models.example.org, or an IP address; no https://, no port",
        received=repr(host),
        action="keraspipe secrets --self-signed --host models.example.org",
    )


def is_host(text: str) -> bool:
    """Whether this is a host's name or address, without scheme and port."""
    return bool(_address(text) or HOST.fullmatch(text))


def _signed(key: Any, names: list[str]) -> Any:
    """Its own authority, so that clients can trust this one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keraspipe gateway")])
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(host) for host in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, encipher_only=False, decipher_only=False, **usage
            ),
            critical=True,
        )
    )
    return builder.sign(key, hashes.SHA256())


def _general(host: str) -> Any:
    from cryptography import x509

    address = _address(host)
    return x509.IPAddress(address) if address else x509.DNSName(host)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise PipelineError(
            "A certificate needs the package cryptography.",
            expected="the environment of make setup, or a certificate of your own",
            received="a Python without it",
            action="make setup && .venv/bin/keraspipe secrets --self-signed, or put certificate and key into tls.pem",
        ) from error
