"""The gateway's certificate `tls.pem`: making one that signs itself, and what is wrong with one."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.deployment.doctor import Finding
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


LOCAL_HOSTS = ("localhost", "127.0.0.1")
VALID_DAYS = 397  # browsers refuse certificates that are valid for longer
HOST_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
EXPIRY_WARNING = timedelta(days=14)
TLS_FILE = "tls.pem"
RENEW_HINT = "keraspipe secrets --self-signed --rotate tls.pem, or put certificate and key of your own into it"
HOST_PATTERN = re.compile(rf"(?:\*\.)?{HOST_LABEL}(?:\.{HOST_LABEL})*")


def make_self_signed(hosts: Iterable[str]) -> tuple[str, str]:
    """A new certificate and its key, both PEM, for these names or addresses and for this machine.

    Raises:
        UsageError: A host is neither a name nor an address.
        PipelineError: The package `cryptography` is missing.
    """
    names = list(dict.fromkeys([*map(check_host, hosts), *LOCAL_HOSTS]))
    _require_cryptography()
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key, names).public_bytes(form.Encoding.PEM)
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return certificate.decode(), secret.decode()


def check_host(host: str) -> str:
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
    return bool(_parse_address(text) or HOST_PATTERN.fullmatch(text))


def _sign(key: Any, names: list[str]) -> Any:
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
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in names]), critical=False)
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


def _general_name(host: str) -> Any:
    from cryptography import x509

    address = _parse_address(host)
    return x509.IPAddress(address) if address else x509.DNSName(host)


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise PipelineError(
            "A certificate needs the package cryptography.",
            expected="the environment of make setup, or a certificate of your own",
            received="a Python without it",
            action="make setup && .venv/bin/keraspipe secrets --self-signed, or put certificate and key into tls.pem",
        ) from error


@dataclass(frozen=True)
class Certificate:
    """A certificate.

    Attributes:
        hosts: Names and addresses that it is for.
        since: Its first moment.
        until: Its last moment.
        fits: Whether the key in the file is the certificate's.
    """

    hosts: tuple[str, ...]
    since: datetime
    until: datetime
    fits: bool


def read_certificate(text: str) -> Certificate:
    """What a PEM file with certificate and key says.

    Raises:
        ValueError: It lacks one of the two, or they are damaged.
        ImportError: The package `cryptography` is missing or too old.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not hasattr(x509.Certificate, "not_valid_after_utc"):
        raise ImportError("cryptography 42 or newer")
    pem = text.encode()
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # behind a password: HAProxy could not ask for it
        raise ValueError(str(error)) from error
    names: tuple[str, ...] = ()
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = tuple(str(name.value) for name in extension.value)
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Certificate(names, since, until, key.public_key() == certificate.public_key())


def tls_findings(text: str, host: str) -> list[Finding]:
    """What the file says against the host's name and the time."""
    try:
        certificate = read_certificate(text)
    except ImportError:
        fix = "make setup && .venv/bin/keraspipe deploy check"
        return [
            Finding(TLS_FILE, ok=False, found="not looked at: cryptography 42 is missing", fix=fix, essential=False)
        ]
    except ValueError:  # its words are OpenSSL's or Rust's, and long
        return [Finding(TLS_FILE, ok=False, found="not a certificate and its key, both PEM", fix=RENEW_HINT)]
    return [certificate_finding(certificate, host, datetime.now(UTC))]


def certificate_finding(certificate: Certificate, host: str, now: datetime) -> Finding:
    """The worst thing about a certificate, or that it is good."""
    if not certificate.fits:
        return Finding(TLS_FILE, ok=False, found="the key is not the certificate's", fix=RENEW_HINT)
    if not certificate.since <= now <= certificate.until:
        word = (
            f"expired on {certificate.until:%Y-%m-%d}"
            if now > certificate.until
            else f"not valid before {certificate.since:%Y-%m-%d}"
        )
        return Finding(TLS_FILE, ok=False, found=word, fix=RENEW_HINT)
    if not covers(certificate.hosts, host):
        fix = f"keraspipe secrets --self-signed --host {host} --rotate tls.pem, or correct PUBLIC_HOST in .env"
        return Finding(
            TLS_FILE, ok=False, found=f"for {', '.join(certificate.hosts) or 'nobody'}, not for {host}", fix=fix
        )
    if certificate.until - now < EXPIRY_WARNING:
        return Finding(
            TLS_FILE, ok=False, found=f"expires on {certificate.until:%Y-%m-%d}", fix=RENEW_HINT, essential=False
        )
    return Finding(TLS_FILE, ok=True, found=f"for {host} until {certificate.until:%Y-%m-%d}")


def covers(hosts: tuple[str, ...], host: str) -> bool:
    """Whether a certificate for `hosts` is one for `host`; a star stands for one label (RFC 6125, 6.4.3)."""
    name = host.lower()
    patterns = {name, f"*.{name.partition('.')[2]}"}
    return any(known.lower() in patterns for known in hosts)
