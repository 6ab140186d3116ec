#!/usr/bin/python3
"""runc for a machine without CAP_SYS_RESOURCE: asks for no limit above the machine's own, and not for that capability.

A runtime for dockerd (--add-runtime). It rewrites the bundle's config.json, then becomes runc with the same arguments.
"""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

FORBIDDEN = "CAP_SYS_RESOURCE"


def bundle(arguments: list[str]) -> Path:
    """The folder named by -b, --bundle or --bundle=."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word in ("-b", "--bundle"):
            return Path(following)
        if word.startswith("--bundle="):
            return Path(word.removeprefix("--bundle="))
    return Path()


def clamped(limit: dict) -> dict:
    """The limit, lowered to what this process may have."""
    hard = resource.getrlimit(getattr(resource, limit["type"]))[1]
    if hard == resource.RLIM_INFINITY:
        return limit
    return {**limit, "hard": min(limit["hard"], hard), "soft": min(limit["soft"], hard)}


def allowed(process: dict) -> dict:
    """The container's process, as this machine can start it."""
    capabilities = process.get("capabilities") or {}
    return {
        **process,
        "rlimits": [clamped(limit) for limit in process.get("rlimits") or []],
        "capabilities": {kind: [name for name in names if name != FORBIDDEN] for kind, names in capabilities.items()},
        "oomScoreAdj": max(0, process.get("oomScoreAdj") or 0),
    }


def main(arguments: list[str]) -> None:
    if {"create", "run"} & set(arguments):
        path = bundle(arguments) / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps({**config, "process": allowed(config["process"])}))
    os.execv(shutil.which("runc") or "/usr/sbin/runc", ["runc", *arguments])


main(sys.argv[1:])
