"""MLServer's own Python environment: its pins do not fit those of the project."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import ROOT, SkippedError, say

REQUIREMENTS = Path(__file__).with_name("mlserver.requirements.txt")
CACHE = Path("~/.cache/keraspipe-bench").expanduser()


def mlserver() -> Path:
    """The folder with MLServer's programs; made at the first call, kept in the user's cache.

    Raises:
        SkippedError: It cannot be installed here.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"mlserver-{digest}"
    if not (folder / "complete").exists():
        say(f"  installing MLServer into {folder}, once")
        _install(folder)
        (folder / "complete").touch()
    return folder / "bin"


def _install(folder: Path) -> None:
    uv = _uv()
    shutil.rmtree(folder, ignore_errors=True)
    _run(uv, "venv", "--python", sys.executable, str(folder))
    _run(uv, "pip", "install", "--python", str(folder / "bin" / "python"), "-r", str(REQUIREMENTS))


def _uv() -> str:
    local = ROOT / ".uv" / "bin" / "uv"
    found = str(local) if local.exists() else shutil.which("uv")
    if not found:
        raise SkippedError("MLServer needs its own environment, and there is no uv to make it")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SkippedError(f"MLServer cannot be installed: {done.stderr.strip().splitlines()[-1]}")
