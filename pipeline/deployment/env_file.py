"""The file `.env`, from which docker compose takes its variables: reading and writing it, and what is wrong in it.

python-dotenv would read it, but `keraspipe secrets` and `deploy check` run in a checkout without any package, before
`make setup`. Its `set_key` would write it as UTF-8 with other ends of lines and doubled backslashes, too, which docker
compose reads as they stand. Ports are checked here as well: each is a variable of `.env`.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import socket
from typing import TYPE_CHECKING

from pipeline import host
from pipeline.deployment import tls
from pipeline.deployment.doctor import Finding
from pipeline.errors import UsageError
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path


ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*([^\r\n]*)", re.MULTILINE)
QUOTED = re.compile(r"""'(?P<plain>[^']*)'|"(?P<escaped>(?:\\.|[^"\\])*)\"""")
UNQUOTED = re.compile(r"[\w./:@%+,=-]+", re.ASCII)
VARIABLE_USE = re.compile(r"(?<!\$)\$\{(\w+)")
DOCKER_PREFIXES = ("COMPOSE_", "DOCKER_", "BUILDKIT_", "BUILDX_")  # read by docker compose itself
IMAGE_USER = 10001  # of our images
WHOLE_NUMBER = "[1-9][0-9]*"
PRECISION_POLICIES = "mixed_bfloat16|mixed_float16|float32"
# Variables of `.env`, and the profile that publishes the port; empty: always.
PORT_PROFILES = {
    "MLFLOW_PORT": "",
    "REST_PORT": "",
    "GRPC_PORT": "",
    "PROMETHEUS_PORT": "monitoring",
    "GRAFANA_PORT": "monitoring",
    "PUBLIC_PORT": "public",
}
MAX_PORT = 65535
CONNECT_TIMEOUT_S = 0.5


def parse_env(text: str) -> dict[str, str]:
    """Variables and their values; of two lines with the same name the later one counts, as in docker compose."""
    return {name: _parse_value(written) for name, written in ASSIGNMENT.findall(text)}


def set_variable(text: str, name: str, value: str) -> str:
    """The text with `name` set to `value`: in its own lines, or in a new one at the end.

    Raises:
        UsageError: No line can hold the value.
    """
    line = f"{name}={_quote(value)}"
    pattern = rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=[^\r\n]*"
    changed, count = re.subn(pattern, lambda _: line, text, flags=re.MULTILINE)
    if count:
        return changed
    return text + ("\n" if text and not text.endswith("\n") else "") + line + "\n"


def read_env(path: Path) -> str:
    """The text, byte for byte: bytes that are not UTF-8 are unchanged after `write_env`.

    Raises:
        OSError: There is no such file, or it cannot be read.
    """
    return path.read_bytes().decode("utf-8", "surrogateescape")


def write_env(path: Path, text: str) -> None:
    """Replaces the file; its permissions stay, and a link stays a link."""
    target = path.resolve()
    with fileio.replace_file(target) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)


def _parse_value(raw: str) -> str:
    quoted = QUOTED.match(raw)
    if not quoted:
        return re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip()  # a comment begins after a blank
    if quoted["plain"] is not None:
        return quoted["plain"]
    return re.sub(r'\\(["\\$])', r"\1", quoted["escaped"])


def _quote(value: str) -> str:
    if UNQUOTED.fullmatch(value):
        return value
    if re.search(r"['\r\n]|\\$", value):
        raise UsageError(
            "A value of .env has one line, no single quotes and no backslash at its end.",
            expected="a path without them",
            received=repr(value),
            action="name another folder: keraspipe secrets --dir FOLDER",
        )
    return f"'{value}'"  # docker compose replaces no $ between single quotes; a last backslash escapes the quote


def find_used(compose: str) -> set[str]:
    """The variables that a docker-compose.yml takes from `.env`."""
    return set(VARIABLE_USE.findall(compose))


def variable_findings(path: Path, values: Mapping[str, str], known: AbstractSet[str]) -> list[Finding]:
    """One for each value that is wrong, or one for all."""
    unknown = [
        _unknown_finding(name, known) for name in values if name not in known and not name.startswith(DOCKER_PREFIXES)
    ]
    wrong = [
        finding for name, value in values.items() if name in known and (finding := value_finding(name, value, path))
    ]
    return [*unknown, *wrong] or [Finding(".env", ok=True, found=str(path))]


def missing_finding(path: Path) -> Finding:
    """There is no `.env`."""
    return Finding(
        ".env", ok=False, found=f"there is no {path}", fix="keraspipe secrets   (makes it from .env.example)"
    )


def _unknown_finding(name: str, known: AbstractSet[str]) -> Finding:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    fix = f"did you mean {close[0]}?" if close else "docker-compose.yml uses no such variable: remove the line"
    return Finding(name, ok=False, found="unknown in .env", fix=fix, essential=False)


def value_finding(name: str, value: str, path: Path) -> Finding | None:
    """What is wrong with a value; None for a good one.

    Empty ones have defaults, and what docker compose replaces ("${HOME}/data") is left to it.
    """
    if not value or "$" in value:
        return None
    for pattern, good, expected in RULES:
        if re.fullmatch(pattern, name) and not good(value):
            return Finding(name, ok=False, found=f"{value!r} is not {expected}", fix=f"correct {name} in {path}")
    return None


def folder_finding(name: str, value: str, owner: tuple[int, int] | None) -> Finding | None:
    """A folder of this machine in the place of a volume.

    Args:
        name: The variable.
        value: A volume's name, or a path.
        owner: User and mode of the folder; None if it is not there.
    """
    if not value.startswith(("/", "./", "../", "~")):
        return None  # a volume, which docker makes
    user, mode = owner or (0, 0)
    bits = mode if user != IMAGE_USER else 0o777
    ok = bool(owner) and bits & 0o005 == 0o005 and bool(name != "BACKUPS" or bits & 0o002)  # noqa: PLR2004
    state = (
        value
        if ok
        else f"{value} cannot be found"
        if owner is None
        else f"user {IMAGE_USER} of the images may not use it"
    )
    return Finding(name, ok, state, "" if ok else f"sudo install -d -o {IMAGE_USER} {value}")


def has_tag(image: str) -> bool:
    """Whether an image's name says which one it is: a tag other than latest, or a digest."""
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return bool(digest) or tag not in {"", "latest"}


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return False


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: bool(re.fullmatch(pattern, text, re.ASCII))


def _is_port(text: str) -> bool:
    return parse_port(text) is not None


# Names, what holds for their values, and that in words.
RULES: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    (r"\w+_PORT", _is_port, "a port, 1 to 65535"),
    (r"\w+_IMAGE", has_tag, "an image with a tag such as :1.2.3 (not latest)"),
    (r"TAG", _matches(r"\w[\w.-]{0,127}"), "a tag of an image"),
    (r"NODES", _matches(WHOLE_NUMBER), "a number of trainers, 1 or more"),
    (r"GPU_COUNT", _matches(f"all|{WHOLE_NUMBER}"), '"all" or a number of GPUs'),
    (
        r"GPU_MIXED_PRECISION",
        _matches(PRECISION_POLICIES),
        f"a policy of Keras: {PRECISION_POLICIES.replace('|', ', ')}",
    ),
    (r"REQUEST_LOG_RATE", _matches(r"0?\.[0-9]+|[01](\.0*)?"), "a share, 0 to 1"),
    (r"PROMETHEUS_RETENTION", _matches(r"([0-9]+(ms|[smhdwy]))+"), "a duration such as 30d"),
    (r"PUBLIC_ADDRESS", _is_address, "an IP address of this machine, or 0.0.0.0"),
    (r"PUBLIC_HOST", tls.is_host, "a host's name or address"),
)


def parse_port(text: str) -> int | None:
    """The port that a value names; None if it names none."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= MAX_PORT else None


def choose_ports(values: Mapping[str, str], profiles: AbstractSet[str]) -> dict[str, int]:
    """Ports by variable; a value that is no port is left to the findings about `.env`."""
    ports = {
        name: parse_port(values.get(name, "")) for name, profile in PORT_PROFILES.items() if profile in {"", *profiles}
    }
    return {name: port for name, port in ports.items() if port is not None}


def parse_published_ports(listing: str) -> set[int]:
    """The ports in what `docker ps` prints of them: "127.0.0.1:8500-8501->8500-8501/tcp"."""
    pairs = re.findall(r":(\d+)(?:-(\d+))?->", listing)
    return {port for first, last in pairs for port in range(int(first), int(last or first) + 1)}


def port_findings(ports: Mapping[str, int], holders: Mapping[int, str], own: AbstractSet[int]) -> list[Finding]:
    """Each port with who holds it; `own` are those that this very stack publishes."""
    findings, first = [], dict[int, str]()
    for name, port in ports.items():
        twin = first.setdefault(port, name)  # two variables with one number
        holder = twin if twin != name else "" if port in own else holders.get(port, "")
        findings.append(port_finding(name, port, holder, port in own))
    return findings


def port_finding(variable: str, port: int, holder: str, own: bool) -> Finding:
    """One port; `holder` is empty if nobody else listens there."""
    name = f"port {port}"
    if holder:
        fix = f"set {variable} in .env to a free port, or stop what has this one"
        return Finding(name, ok=False, found=f"{variable}: taken by {holder}", fix=fix)
    return Finding(name, ok=True, found=f"{variable}: {'this stack' if own else 'free'}")


def find_holders(ports: Iterable[int]) -> dict[int, str]:
    """Who listens on those that are taken, in words."""
    numbers = set(ports)
    unnamed = {port: "a process that this user may not see" for port in numbers if _is_listening(port)}
    return unnamed | host.listeners(numbers)


def _is_listening(port: int) -> bool:
    """Also without psutil, and where the engine forwards without a separate process."""
    with socket.socket() as client:
        client.settimeout(CONNECT_TIMEOUT_S)
        return client.connect_ex(("127.0.0.1", port)) == 0
