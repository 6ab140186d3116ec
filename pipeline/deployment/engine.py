"""The container engine and its GPUs: what docker reports, and the findings about it."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline import host
from pipeline.deployment import doctor
from pipeline.deployment.doctor import GIB, Finding, version_tuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


COMMAND_TIMEOUT_S = 20.0  # an engine that has just been started answers late
NOT_INSTALLED = 127  # exit code, as of a shell
OLDEST_ENGINE = "23.0"  # the first that builds with BuildKit by itself, which `RUN --mount` in docker/Dockerfile needs
OLDEST_COMPOSE = "2.24"  # of January 2024; older ones have not been tried
BUILD_GIB = 12  # bases, images and the cache of their builds
BUILT_GIB = 2  # artifacts, models and logs, once the images are there
INSTALL_URL = "https://docs.docker.com/engine/install"
BFLOAT16_CAPABILITY = 8.0  # compute capability of the first cards that calculate in bfloat16
TOOLKIT_URL = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"


@dataclass(frozen=True)
class CommandResult:
    """Output and exit code of a command; NOT_INSTALLED if there is no such command."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def error(self) -> str:
        """The last line of its messages, which is the one that says why it failed."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def run_command(*command: str, folder: Path | None = None) -> CommandResult:
    """Runs a command to its end."""
    if not shutil.which(command[0]):
        return CommandResult(NOT_INSTALLED)
    try:
        done = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            cwd=folder,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return CommandResult(1, err=str(error))
    return CommandResult(done.returncode, done.stdout, done.stderr)


def docker_info() -> tuple[CommandResult, dict[str, Any]]:
    """Returns the result of `docker info`, and its content; the engine's part is empty if it does not answer."""
    answer = run_command("docker", "info", "--format", "{{json .}}")
    with suppress(ValueError):
        content = json.loads(answer.out)
        return answer, content if isinstance(content, dict) else {}
    return answer, {}


def engine_findings(answer: CommandResult, info: Mapping[str, Any]) -> list[Finding]:
    """Client, engine and the client's plugins."""
    if answer.code == NOT_INSTALLED:
        return [Finding("docker", ok=False, found="not installed", fix=f"install Docker Engine: {INSTALL_URL}")]
    return [daemon_finding(answer, info), compose_finding(info), buildx_finding(info)]


def daemon_finding(answer: CommandResult, info: Mapping[str, Any]) -> Finding:
    """Whether the engine answers, and is new enough."""
    version = str(info.get("ServerVersion") or "")
    if not version:
        return _silent_daemon(answer.error)
    if version_tuple(version) < version_tuple(OLDEST_ENGINE):
        return _engine_failure(f"{version}, older than {OLDEST_ENGINE}", f"install a newer one: {INSTALL_URL}")
    return Finding("engine", ok=True, found=version)


def _silent_daemon(error: str) -> Finding:
    if "permission denied" in error.lower():
        fix = 'sudo usermod -aG docker "$USER", then log in again   (its members can become root)'
        return _engine_failure("this user may not use it", fix)
    if "Is the docker daemon running" in error:
        message = error.removesuffix("Is the docker daemon running?").strip()
        return _engine_failure(message, "sudo systemctl start docker   (docker context ls says which one is asked)")
    return _engine_failure(error or "docker info does not say its version", "docker info   (says more)")


def _engine_failure(message: str, fix: str) -> Finding:
    return Finding("engine", ok=False, found=message, fix=fix)


def platform_finding(info: Mapping[str, Any]) -> Finding:
    """Linux on x86-64 runs the images by itself; TFX has wheels for no other."""
    system, processor = str(info.get("OSType") or ""), str(info.get("Architecture") or "")
    if system == "windows":
        return Finding("platform", ok=False, found="Windows containers", fix="switch Docker to Linux containers")
    if processor not in {"x86_64", "amd64"}:  # emulated, and slow
        fix = "export DOCKER_DEFAULT_PLATFORM=linux/amd64   (slow; better an x86-64 machine)"
        return Finding("platform", ok=False, found=f"{system} {processor}", fix=fix, essential=False)
    return Finding("platform", ok=True, found=f"{system} {processor}", essential=False)


def compose_finding(info: Mapping[str, Any]) -> Finding:
    """The plugin that reads docker-compose.yml."""
    fix = "https://docs.docker.com/compose/install/linux   (the old docker-compose in Python does not do)"
    version = _plugin_version(info, "compose")
    if not version:
        return Finding("docker compose", ok=False, found="not installed", fix=fix)
    if version_tuple(version.removeprefix("v")) < version_tuple(OLDEST_COMPOSE):
        return Finding("docker compose", ok=False, found=f"{version}, older than {OLDEST_COMPOSE}", fix=fix)
    return Finding("docker compose", ok=True, found=version)


def buildx_finding(info: Mapping[str, Any]) -> Finding:
    """The plugin that builds the images."""
    version = _plugin_version(info, "buildx")
    fix = "" if version else "https://docs.docker.com/build/install-buildx   (package docker-buildx-plugin)"
    return Finding("docker buildx", bool(version), version or "not installed", fix)


def _plugin_version(info: Mapping[str, Any], name: str) -> str:
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or []
    return next((str(plugin.get("Version") or "") for plugin in plugins if plugin.get("Name") == name), "")


def disk_finding(free_bytes: int, root: str, built: bool) -> Finding:
    """Room where the engine keeps images and volumes; less is needed once the images are built."""
    needed = BUILT_GIB if built else BUILD_GIB
    ok = free_bytes >= needed * GIB
    fix = f"free {needed} GB on the disk of {root} (docker system prune), or give the engine another data-root"
    return Finding("disk", ok, f"{free_bytes / GIB:.1f} GB free in {root}", "" if ok else fix)


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


def read_cards(info: Mapping[str, Any]) -> Cards:
    """Asks driver and engine; `info` is what `docker info` says."""
    output = host.command_output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    # The engine finds the hook by name; "nvidia" among its runtimes is what nvidia-ctk sets up as well.
    runtime = "nvidia" in (info.get("Runtimes") or {}) or bool(shutil.which("nvidia-container-runtime-hook"))
    return Cards(host.nvidia_driver(), parse_capabilities(output), runtime)


def parse_capabilities(text: str) -> tuple[float, ...]:
    """What nvidia-smi prints of them, one card a line."""
    with suppress(ValueError):
        return tuple(float(line) for line in text.split())
    return ()


def gpu_findings(cards: Cards, values: Mapping[str, str]) -> list[Finding]:
    """Cards and runtime against GPU_COUNT and GPU_MIXED_PRECISION of `.env`."""
    first = [driver_finding(cards.driver), runtime_finding(cards.runtime)]
    if not cards.driver:
        return first
    wanted, policy = values.get("GPU_COUNT", ""), values.get("GPU_MIXED_PRECISION", "")
    return [*first, count_finding(len(cards.capabilities), wanted), precision_finding(cards.capabilities, policy)]


def driver_finding(version: str | None) -> Finding:
    """The driver of this machine; CUDA itself is in the image."""
    if version is None:
        fix = "train without: docker compose run --rm pipeline run digits"
        return Finding("GPU driver", ok=False, found="no GPU of NVIDIA, or no driver for it", fix=fix)
    return replace(doctor.gpu(version, cuda_packages=True), name="GPU driver", essential=True)


def runtime_finding(there: bool) -> Finding:
    """What hands the cards to containers."""
    fix = f"sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker   (from {TOOLKIT_URL})"
    state = "nvidia" if there else "the engine knows no runtime nvidia"
    return Finding("GPU runtime", there, state, "" if there else fix)


def count_finding(there: int, wanted: str) -> Finding:
    """Whether there are as many cards as configured."""
    ok = not wanted.isdigit() or int(wanted) <= there
    fix = f"set GPU_COUNT in .env to {there or 'a number that there is'}, or to all"
    return Finding("GPU count", ok, f"{there} here, {wanted or 'all'} wanted", "" if ok else fix)


def precision_finding(capabilities: tuple[float, ...], policy: str) -> Finding:
    """Cards before Ampere calculate in bfloat16 only slowly."""
    ok = policy != "mixed_bfloat16" or min(capabilities, default=BFLOAT16_CAPABILITY) >= BFLOAT16_CAPABILITY
    fix = "set GPU_MIXED_PRECISION=mixed_float16 in .env"
    output = policy or "float32"
    return Finding(
        "GPU precision", ok, output if ok else f"{output} on an older card", "" if ok else fix, essential=False
    )
