"""The gateway's `tls.pem`: what it says, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.doctor import Finding

SOON = timedelta(days=14)
NAME = "tls.pem"
RENEW = "keraspipe secrets --self-signed --rotate tls.pem, or put certificate and key of your own into it"


@dataclass(frozen=True)
class Said:
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


def read(text: str) -> Said:
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
    return Said(names, since, until, key.public_key() == certificate.public_key())


def findings(text: str, host: str) -> list[Finding]:
    """What the file says against the host's name and the time."""
    try:
        said = read(text)
    except ImportError:
        fix = "make setup && .venv/bin/keraspipe deploy check"
        return [Finding(NAME, ok=False, found="not looked at: cryptography 42 is missing", fix=fix, essential=False)]
    except ValueError:  # its words are OpenSSL's or Rust's, and long
        return [Finding(NAME, ok=False, found="not a certificate and its key, both PEM", fix=RENEW)]
    return [judged(said, host, datetime.now(UTC))]


def judged(said: Said, host: str, now: datetime) -> Finding:
    """The worst thing about a certificate, or that it is good."""
    if not said.fits:
        return Finding(NAME, ok=False, found="the key is not the certificate's", fix=RENEW)
    if not said.since <= now <= said.until:
        word = f"expired on {said.until:%Y-%m-%d}" if now > said.until else f"not valid before {said.since:%Y-%m-%d}"
        return Finding(NAME, ok=False, found=word, fix=RENEW)
    if not covers(said.hosts, host):
        fix = f"keraspipe secrets --self-signed --host {host} --rotate tls.pem, or correct PUBLIC_HOST in .env"
        return Finding(NAME, ok=False, found=f"for {', '.join(said.hosts) or 'nobody'}, not for {host}", fix=fix)
    if said.until - now < SOON:
        return Finding(NAME, ok=False, found=f"expires on {said.until:%Y-%m-%d}", fix=RENEW, essential=False)
    return Finding(NAME, ok=True, found=f"for {host} until {said.until:%Y-%m-%d}")


def covers(hosts: tuple[str, ...], host: str) -> bool:
    """Whether a certificate for `hosts` is one for `host`; a star stands for one label (RFC 6125, 6.4.3)."""
    name = host.lower()
    patterns = {name, f"*.{name.partition('.')[2]}"}
    return any(known.lower() in patterns for known in hosts)
