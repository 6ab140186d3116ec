"""GPUs for the profile `gpu`: cards, driver, and the engine's way to them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline import doctor, machine
from pipeline.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

AMPERE = 8.0  # compute capability of the first cards that calculate in bfloat16
TOOLKIT = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"


@dataclass(frozen=True)
class Cards:
    """The NVIDIA cards of this machine.

    Attributes:
        driver: Version of the driver; None without one, empty if it does not answer.
        capabilities: Compute capability of each card, such as 8.6.
        runtime: Whether the engine can hand them to a container.
    """

    driver: str | None
    capabilities: tuple[float, ...]
    runtime: bool


def cards(info: Mapping[str, Any]) -> Cards:
    """Asks driver and engine; `info` is what `docker info` says."""
    shown = machine.output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    # The engine finds the hook by name; "nvidia" among its runtimes is what nvidia-ctk sets up besides.
    runtime = "nvidia" in (info.get("Runtimes") or {}) or bool(shutil.which("nvidia-container-runtime-hook"))
    return Cards(machine.driver(), capabilities(shown), runtime)


def capabilities(text: str) -> tuple[float, ...]:
    """What nvidia-smi prints of them, one card a line."""
    with suppress(ValueError):
        return tuple(float(line) for line in text.split())
    return ()


def findings(found: Cards, values: Mapping[str, str]) -> list[Finding]:
    """Cards and runtime against GPU_COUNT and GPU_MIXED_PRECISION of `.env`."""
    first = [driver(found.driver), runtime(found.runtime)]
    if not found.driver:
        return first
    wanted, policy = values.get("GPU_COUNT", ""), values.get("GPU_MIXED_PRECISION", "")
    return [*first, count(len(found.capabilities), wanted), precision(found.capabilities, policy)]


def driver(version: str | None) -> Finding:
    """The driver of this machine; CUDA itself is in the image."""
    if version is None:
        fix = "train without: docker compose run --rm pipeline run digits"
        return Finding("GPU driver", ok=False, found="no GPU of NVIDIA, or no driver for it", fix=fix)
    return replace(doctor.gpu(version, cuda_packages=True), name="GPU driver", essential=True)


def runtime(there: bool) -> Finding:
    """What hands the cards to containers."""
    fix = f"sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker   (from {TOOLKIT})"
    found = "nvidia" if there else "the engine knows no runtime nvidia"
    return Finding("GPU runtime", there, found, "" if there else fix)


def count(there: int, wanted: str) -> Finding:
    """As many cards as are asked for."""
    ok = not wanted.isdigit() or int(wanted) <= there
    fix = f"set GPU_COUNT in .env to {there or 'a number that there is'}, or to all"
    return Finding("GPU count", ok, f"{there} here, {wanted or 'all'} wanted", "" if ok else fix)


def precision(found: tuple[float, ...], policy: str) -> Finding:
    """Cards before Ampere calculate in bfloat16 only slowly."""
    ok = policy != "mixed_bfloat16" or min(found, default=AMPERE) >= AMPERE
    fix = "set GPU_MIXED_PRECISION=mixed_float16 in .env"
    shown = policy or "float32"
    return Finding(
        "GPU precision", ok, shown if ok else f"{shown} on an older card", "" if ok else fix, essential=False
    )
