"""Checks this machine and says what to type where something is wrong: `keraspipe doctor`, in well under a second.

Each check is a pure function from plain values to a `Finding`; `examine` reads the values off the machine.
Nothing heavy is imported, so that it also answers where TensorFlow does not.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline import host
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace

GIB = 1024**3
OLDEST_GLIBC = "2.28"  # manylinux_2_28, what tfx-bsl's wheel is built for
OLDEST_DRIVER = "525.60.13"  # the first that runs CUDA 12, which TensorFlow's packages bring
DISK_GIB = 2  # a workspace after some dozens of runs of the small recipes
MEMORY_GIB = 4  # TFX, TensorFlow and Beam's workers of one run on MNIST
PORTS = {5000: "dashboard --port 5001", 8500: "serve --grpc-port 8510", 8501: "serve --rest-port 8511"}


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: What was checked.
        ok: Whether it is as it should be.
        found: The actual state. The name is a key of `--json`.
        fix: What to type or do when it is wrong; empty when it is right.
        essential: Whether runs fail without it. The others are worth a note only.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    essential: bool = True


def version_tuple(text: str) -> tuple[int, ...]:
    """The numbers a version starts with: "535.104.05" -> (535, 104, 5), "2.36-9+deb12" -> (2, 36)."""
    match = re.match(r"\d+(\.\d+)*", text.strip())
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def glibc(version: str) -> Finding:
    """The C library that the binary wheels need; an empty version is another one, such as musl."""
    ok = version_tuple(version) >= version_tuple(OLDEST_GLIBC)
    fix = f"use a system with glibc {OLDEST_GLIBC} or newer (Debian 10, RHEL 8, Ubuntu 20.04)"
    return Finding("C library", ok, f"glibc {version}" if version else "not glibc", "" if ok else fix)


def python(version: tuple[int, int]) -> Finding:
    """The one Python that all of TFX has wheels for."""
    ok = version == (3, 11)
    return Finding("Python", ok, "{}.{}".format(*version), "" if ok else "rm -rf .venv && make setup")


def architecture(system: str, processor: str) -> Finding:
    """tfx-bsl and ml-metadata have wheels for Linux on x86-64 only."""
    ok = (system, processor) in {("Linux", "x86_64"), ("Linux", "AMD64")}
    fix = "docker compose run --rm pipeline run digits   (with DOCKER_DEFAULT_PLATFORM=linux/amd64)"
    return Finding("platform", ok, f"{system} {processor}", "" if ok else fix)


def packages(locked: Mapping[str, set[str]], installed: Mapping[str, str], needed: Iterable[str]) -> Finding:
    """Installed versions against the lock; what another platform would need is not missed."""
    other = [
        f"{name} {version} (locked: {', '.join(sorted(locked[name]))})"
        for name, version in sorted(installed.items())
        if name in locked and version not in locked[name]
    ]
    wrong = [f"{name} is missing" for name in sorted(needed) if name not in installed] + other
    shown = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")  # noqa: PLR2004
    fix = "uv sync --locked, or: rm -rf .venv && make setup"
    return Finding("packages", not wrong, shown or f"{len(installed)}, as locked", fix if wrong else "")


def workspace(folder: Path, problem: str) -> Finding:
    """Whether runs can leave anything in the workspace."""
    fix = "keraspipe run digits --workspace FOLDER   (or set KERASPIPE_WORKSPACE)"
    return Finding("workspace", not problem, problem or str(folder), fix if problem else "")


def disk(free_bytes: int, folder: Path) -> Finding:
    """Room for artifacts, models and MLflow's pictures."""
    ok = free_bytes >= DISK_GIB * GIB
    fix = f"free {DISK_GIB} GB on the disk of {folder}, or name another: KERASPIPE_WORKSPACE=FOLDER"
    return Finding("disk", ok, f"{free_bytes / GIB:.1f} GB free", "" if ok else fix)


def memory(total_bytes: int) -> Finding:
    """Memory of the machine, or of the container where that is less."""
    ok = total_bytes >= MEMORY_GIB * GIB
    fix = f"give the machine or container {MEMORY_GIB} GB; the small recipes may run with less"
    return Finding("memory", ok, f"{total_bytes / GIB:.1f} GB", "" if ok else fix, essential=False)


def gpu(driver: str | None, cuda_packages: bool) -> Finding:
    """The driver's version (None: no GPU of NVIDIA, "": it does not answer) against what TensorFlow needs."""
    if driver is None:
        return Finding("GPU", ok=True, found="none of NVIDIA; training uses the CPU", essential=False)
    if not driver:
        return _gpu("the NVIDIA driver is installed but does not answer", "nvidia-smi   (its message says why)")
    if version_tuple(driver) < version_tuple(OLDEST_DRIVER):
        fix = "install a newer driver (Ubuntu: ubuntu-drivers install; Debian: apt-get install nvidia-driver)"
        return _gpu(f"driver {driver}, older than {OLDEST_DRIVER}", fix)
    if not cuda_packages:
        return _gpu(f"driver {driver}, but no CUDA packages: TensorFlow uses the CPU", "make setup GPU=1")
    return Finding("GPU", ok=True, found=f"driver {driver}", essential=False)


def _gpu(state: str, fix: str) -> Finding:
    return Finding("GPU", ok=False, found=state, fix=fix, essential=False)


def port(number: int, holder: str | None) -> Finding:
    """A port of the dashboard or the server; `holder` is who listens there, None if nobody does."""
    name = f"port {number}"
    if holder is None or "keraspipe" in holder:
        return Finding(name, ok=True, found=holder or "free", essential=False)
    return Finding(name, ok=False, found=f"taken by {holder}", fix=f"keraspipe {PORTS[number]}", essential=False)


def data(folder: Path, exists: bool, problem: str) -> Finding:
    """Where data sets are looked up; `digits` needs none, the others are fetched into it."""
    state = problem or (str(folder) if exists else f"{folder}, made when a data set is fetched")
    fix = "export KERASPIPE_DATA=FOLDER" if problem else ""
    return Finding("data", not problem, state, fix, essential=False)


def compose(version: str) -> Finding:
    """Docker Compose, which only the deployment needs."""
    fix = "" if version else "https://docs.docker.com/compose/install   (only for docker compose up)"
    return Finding("docker compose", bool(version), version or "not installed", fix, essential=False)


def recipes(missing: list[Path]) -> Finding:
    """The folders of KERASPIPE_RECIPES."""
    state = f"no such folder: {', '.join(map(str, missing))}" if missing else "all folders are there"
    return Finding("recipes", not missing, state, "correct or unset KERASPIPE_RECIPES" if missing else "")


def decoders(unchecked: list[str]) -> Finding:
    """Published versions, NAME@VERSION, whose decoder takes any bytes: one request of eleven ends a server."""
    state = f"no check before the decoder: {', '.join(unchecked)}" if unchecked else "all check what they decode"
    names = " ".join(sorted({version.partition("@")[0] for version in unchecked}))
    fix = f"publish them anew: keraspipe run {names}" if unchecked else ""
    return Finding("published models", not unchecked, state, fix, essential=False)


def unchecked_versions(home: Workspace) -> list[str]:
    """Returns the published versions that decode images or recordings without a check of the bytes, NAME@VERSION."""
    from serving.core.graph import find_unchecked_decoders  # here: `secrets` runs without packages

    folders = [folder for folder in home.models.glob("*/*") if folder.name.isdecimal()]
    folders.sort(key=lambda folder: (folder.parent.name, int(folder.name)))
    return [f"{folder.parent.name}@{folder.name}" for folder in folders if find_unchecked_decoders(folder)]


def examine(settings: Settings) -> list[Finding]:
    """All checks on this machine."""
    installed = host.installed_packages()
    folder = settings.workspace.root
    taken = host.listeners(PORTS)
    return [
        architecture(platform.system(), platform.machine()),
        glibc(host.glibc_version()),
        python(sys.version_info[:2]),
        packages(host.locked_versions(ROOT / "uv.lock"), installed, host.required_packages(ROOT / "pyproject.toml")),
        workspace(folder, host.write_problem(folder)),
        disk(shutil.disk_usage(host.nearest_folder(folder)).free, folder),
        memory(host.memory_bytes()),
        gpu(host.nvidia_driver(), any(name.startswith("nvidia-cudnn") for name in installed)),
        recipes([place for place in settings.recipe_folders if not place.is_dir()]),
        decoders(unchecked_versions(settings.workspace)),
        data(settings.data, settings.data.is_dir(), host.write_problem(settings.data)),
        *(port(number, taken.get(number)) for number in PORTS),
        compose(host.command_output("docker", "compose", "version", "--short")),
    ]


def report(findings: list[Finding], as_json: bool) -> int:
    """Print the findings; 1 if something essential is wrong, else 0."""
    sound = all(finding.ok for finding in findings if finding.essential)
    if as_json:
        print(json.dumps({"ok": sound, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print(table(findings))
    return 0 if sound else 1


def table(findings: list[Finding]) -> str:
    """Aligned lines; the fix stands below what is wrong."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        word = "ok" if finding.ok else "wrong" if finding.essential else "note"
        lines.append(f"{word:<6} {finding.name:<{width}}  {finding.found}")
        if not finding.ok:
            lines.append(f"{'':<6} {'':<{width}}  fix: {finding.fix}")
    return "\n".join(lines)
