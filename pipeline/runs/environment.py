"""The environment of a run, to recreate it: interpreter, packages, TensorFlow's build, machine and commit."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from typing import Any

from pipeline import host
from pipeline.settings import ROOT


def describe_environment() -> dict[str, Any]:
    """Describes the environment as JSON. TensorFlow's build is only described if it is imported already.

    Returns:
        `python`, `platform`, `cpu` {cores, memory_bytes}, `gpu` [name], `tensorflow` {version, build facts}, `git`
        {commit, dirty}, `lock` (SHA-256 of uv.lock) and `packages` {name: version}.
    """
    packages = host.installed_packages()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {"cores": os.cpu_count(), "memory_bytes": host.memory_bytes()},
        "gpu": _gpu_names(),
        "tensorflow": {"version": packages.get("tensorflow", ""), **_tensorflow_build()},
        "git": git_state(),
        "lock": hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest(),
        "packages": dict(sorted(packages.items())),
    }


def _tensorflow_build() -> dict[str, Any]:
    if "tensorflow" not in sys.modules:
        return {}
    import tensorflow as tf

    return {name: str(value) for name, value in tf.sysconfig.get_build_info().items()}


def _gpu_names() -> list[str]:
    if "tensorflow" not in sys.modules:
        return []
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in devices]


def git_state() -> dict[str, Any]:
    """Returns the checkout's commit and whether tracked files differ from it; empty without a checkout."""
    status = host.command_output("git", "-C", str(ROOT), "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    lines = status.splitlines()
    commit = next((line.rpartition(" ")[2] for line in lines if line.startswith("# branch.oid ")), "")
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)} if commit else {}
