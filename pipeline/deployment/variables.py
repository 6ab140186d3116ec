"""The values in `.env`: which are unknown, and which cannot be meant."""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING

from pipeline.deployment import certificate, ports
from pipeline.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

USED = re.compile(r"(?<!\$)\$\{(\w+)")
OF_DOCKER = ("COMPOSE_", "DOCKER_", "BUILDKIT_", "BUILDX_")  # read by docker compose itself
USER = 10001  # of our images


def used(compose: str) -> set[str]:
    """The variables that a docker-compose.yml takes from `.env`."""
    return set(USED.findall(compose))


def findings(path: Path, values: Mapping[str, str], known: AbstractSet[str]) -> list[Finding]:
    """One for each value that is wrong, or one for all."""
    unknown = [_unknown(name, known) for name in values if name not in known and not name.startswith(OF_DOCKER)]
    wrong = [found for name, value in values.items() if name in known and (found := judged(name, value, path))]
    return [*unknown, *wrong] or [Finding(".env", ok=True, found=str(path))]


def missing(path: Path) -> Finding:
    """There is no `.env`."""
    return Finding(
        ".env", ok=False, found=f"there is no {path}", fix="keraspipe secrets   (makes it from .env.example)"
    )


def _unknown(name: str, known: AbstractSet[str]) -> Finding:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    fix = f"did you mean {close[0]}?" if close else "docker-compose.yml uses no such variable: remove the line"
    return Finding(name, ok=False, found="unknown in .env", fix=fix, essential=False)


def judged(name: str, value: str, path: Path) -> Finding | None:
    """What is wrong with a value; None for a good one.

    Empty ones have defaults, and what docker compose replaces ("${HOME}/data") is left to it.
    """
    if not value or "$" in value:
        return None
    for pattern, good, expected in RULES:
        if re.fullmatch(pattern, name) and not good(value):
            return Finding(name, ok=False, found=f"{value!r} is not {expected}", fix=f"correct {name} in {path}")
    return None


def folder(name: str, value: str, owner: tuple[int, int] | None) -> Finding | None:
    """A folder of this machine in the place of a volume.

    Args:
        name: The variable.
        value: A volume's name, or a path.
        owner: User and mode of the folder; None if it is not there.
    """
    if not value.startswith(("/", "./", "../", "~")):
        return None  # a volume, which docker makes
    user, mode = owner or (0, 0)
    bits = mode if user != USER else 0o777
    ok = bool(owner) and bits & 0o005 == 0o005 and bool(name != "BACKUPS" or bits & 0o002)  # noqa: PLR2004
    found = (
        value if ok else f"{value} cannot be found" if owner is None else f"user {USER} of the images may not use it"
    )
    return Finding(name, ok, found, "" if ok else f"sudo install -d -o {USER} {value}")


def tagged(image: str) -> bool:
    """Whether an image's name says which one it is: a tag other than latest, or a digest."""
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return bool(digest) or tag not in {"", "latest"}


def _address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return False


def _like(pattern: str) -> Callable[[str], bool]:
    return lambda text: bool(re.fullmatch(pattern, text, re.ASCII))


def _port(text: str) -> bool:
    return ports.number(text) is not None


WHOLE = "[1-9][0-9]*"
POLICIES = "mixed_bfloat16|mixed_float16|float32"
# Names, what holds for their values, and that in words.
RULES: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    (r"\w+_PORT", _port, "a port, 1 to 65535"),
    (r"\w+_IMAGE", tagged, "an image with a tag such as :1.2.3 (not latest)"),
    (r"TAG", _like(r"\w[\w.-]{0,127}"), "a tag of an image"),
    (r"NODES", _like(WHOLE), "a number of trainers, 1 or more"),
    (r"GPU_COUNT", _like(f"all|{WHOLE}"), '"all" or a number of GPUs'),
    (r"GPU_MIXED_PRECISION", _like(POLICIES), f"a policy of Keras: {POLICIES.replace('|', ', ')}"),
    (r"REQUEST_LOG_RATE", _like(r"0?\.[0-9]+|[01](\.0*)?"), "a share, 0 to 1"),
    (r"PROMETHEUS_RETENTION", _like(r"([0-9]+(ms|[smhdwy]))+"), "a duration such as 30d"),
    (r"PUBLIC_ADDRESS", _address, "an IP address of this machine, or 0.0.0.0"),
    (r"PUBLIC_HOST", certificate.is_host, "a host's name or address"),
)
