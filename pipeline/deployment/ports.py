"""The ports that the stack publishes, and who else listens there."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from pipeline import machine
from pipeline.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

# Variables of `.env`, and the profile that publishes the port; empty: always.
PROFILES = {
    "MLFLOW_PORT": "",
    "REST_PORT": "",
    "GRPC_PORT": "",
    "PROMETHEUS_PORT": "monitoring",
    "GRAFANA_PORT": "monitoring",
    "PUBLIC_PORT": "public",
}
HIGHEST = 65535
PATIENCE_S = 0.5


def number(text: str) -> int | None:
    """The port that a value names; None if it names none."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= HIGHEST else None


def wanted(values: Mapping[str, str], profiles: AbstractSet[str]) -> dict[str, int]:
    """Ports by variable; a value that is no port is left to the findings about `.env`."""
    found = {name: number(values.get(name, "")) for name, profile in PROFILES.items() if profile in {"", *profiles}}
    return {name: port for name, port in found.items() if port is not None}


def published(listing: str) -> set[int]:
    """The ports in what `docker ps` prints of them: "127.0.0.1:8500-8501->8500-8501/tcp"."""
    pairs = re.findall(r":(\d+)(?:-(\d+))?->", listing)
    return {port for first, last in pairs for port in range(int(first), int(last or first) + 1)}


def findings(ports: Mapping[str, int], holders: Mapping[int, str], own: AbstractSet[int]) -> list[Finding]:
    """Each port with who holds it; `own` are those that this very stack publishes."""
    found, first = [], dict[int, str]()
    for name, port in ports.items():
        twin = first.setdefault(port, name)  # two variables with one number
        holder = twin if twin != name else "" if port in own else holders.get(port, "")
        found.append(finding(name, port, holder, port in own))
    return found


def finding(variable: str, port: int, holder: str, own: bool) -> Finding:
    """One port; `holder` is empty if nobody else listens there."""
    name = f"port {port}"
    if holder:
        fix = f"set {variable} in .env to a free port, or stop what has this one"
        return Finding(name, ok=False, found=f"{variable}: taken by {holder}", fix=fix)
    return Finding(name, ok=True, found=f"{variable}: {'this stack' if own else 'free'}")


def holders(ports: Iterable[int]) -> dict[int, str]:
    """Who listens on those that are taken, in words."""
    asked = set(ports)
    unnamed = {port: "a process that this user may not see" for port in asked if _answers(port)}
    return unnamed | machine.listeners(asked)


def _answers(port: int) -> bool:
    """Also without psutil, and where the engine forwards without a process of its own."""
    with socket.socket() as client:
        client.settimeout(PATIENCE_S)
        return client.connect_ex(("127.0.0.1", port)) == 0
