"""Facts of this machine: packages, memory, GPU driver, ports. Read quickly, without importing anything heavy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMAND_TIMEOUT_S = 3.0


def glibc_version() -> str:
    """Returns the version of the C library; empty if it is not glibc."""
    with suppress(ValueError, OSError, AttributeError):  # musl and other systems do not know the name
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    return ""


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_packages() -> dict[str, str]:
    """Returns the packages of this environment and their versions."""
    # Names of folders, not importlib.metadata: 3 ms instead of half a second for 250 packages.
    folders = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    parts = (folder.name.removesuffix(".dist-info").rsplit("-", 1) for folder in folders)
    return {_normalize(name): version for name, version in parts}


def locked_versions(lock: Path) -> dict[str, set[str]]:
    """Returns the versions that a uv.lock allows, by package."""
    # By regular expression: tomllib takes a quarter of a second for a file of this size.
    text = lock.read_text() if lock.is_file() else ""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r'^\[\[package\]\]\nname = "(.+)"\nversion = "(.+)"', text, re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def required_packages(project: Path) -> list[str]:
    """Returns the packages that a pyproject.toml requires directly."""
    if not project.is_file():
        return []
    stated = tomllib.loads(project.read_text())["project"]["dependencies"]
    names = (re.match(r"[\w.-]+", line) for line in stated if "platform != 'win32'" in line or ";" not in line)
    return [_normalize(match.group()) for match in names if match]


def nearest_folder(folder: Path) -> Path:
    """Returns the folder, or its nearest parent that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def write_problem(folder: Path) -> str:
    """Returns why the folder, existing or not, cannot be written; empty if it can."""
    place = nearest_folder(folder)
    if not place.is_dir():
        return f"{place} is a file"
    try:
        # Writes a temporary file: os.access does not notice a full disk, nor what root may not do.
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
    except OSError as error:
        return f"{place} cannot be written: {error.strerror}"
    return ""


def memory_bytes() -> int:
    """Returns the bytes of memory of the machine, or of the container if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max", or no control group
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def nvidia_driver() -> str | None:
    """Returns the version of the NVIDIA driver; None without one, empty if it does not answer."""
    with suppress(OSError):
        return driver_version(Path("/proc/driver/nvidia/version").read_text())
    if shutil.which("nvidia-smi") is None:
        return None
    return driver_version(command_output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"))


def driver_version(text: str) -> str:
    """Returns the version in the output of the driver or of nvidia-smi: three digits, then dots."""
    match = re.search(r"\b\d{3,}(\.\d+)+\b", text)
    return match.group() if match else ""


def command_output(*command: str) -> str:
    """Returns the output of a command; empty if it is missing, fails or hangs."""
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(command, capture_output=True, timeout=COMMAND_TIMEOUT_S, text=True, check=True)  # noqa: S603
        return answer.stdout.strip()
    return ""


def listeners(ports: Iterable[int]) -> dict[int, str]:
    """Returns the process that listens on each port in use."""
    try:
        import psutil
    except ImportError:  # reported as a missing package
        return {}
    holders: dict[int, str] = {}
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports:
                holders[connection.laddr.port] = _describe_process(connection.pid)
    return holders


def _describe_process(pid: int | None) -> str:
    import psutil

    if pid is None:  # of another user
        return "another user's process"
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return f"process {pid}"
    own = any("keraspipe" in Path(word).name for word in words[:3])
    return f"{'keraspipe' if own else Path((words or ['?'])[0]).name} (process {pid})"
