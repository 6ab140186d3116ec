"""Digests of values and files: equal content has equal digests."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Stamp = tuple[int, int, int]


def digest(value: Any) -> str:
    """Returns the digest of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def digest_files(paths: list[Path], memory: Path) -> str:
    """Returns the digest of the content of all files below the paths; reads them only if a stamp has changed.

    Args:
        paths: Files and folders.
        memory: File that caches the digest with the stamps.
    """
    key = digest(stamps(paths))
    cached = fileio.read_json(memory, {})
    if cached.get("stamps") != key:
        cached = {"stamps": key, "digest": _content_digest(paths)}
        fileio.write_json(memory, cached)
    return str(cached["digest"])


def stamps(paths: Iterable[Path]) -> list[tuple[str, int, int, int]]:
    """Returns path, size and times of every file below the paths: if they are equal, so is the content."""
    return [
        (str(path), *stamp(path))
        for root in paths
        for path in ([root, *sorted(root.rglob("*"))] if root.is_dir() else [root])
    ]


def stamp(path: Path) -> Stamp:
    """Returns size and times of a file or folder; ctime cannot be set, so a file replaced with its old date differs."""
    status = path.stat()
    return 0 if path.is_dir() else status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _content_digest(paths: list[Path]) -> str:
    result = hashlib.sha256()
    for root in paths:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                with path.open("rb") as file:
                    inner = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
                result.update(f"{path.relative_to(root)}\0{inner}\n".encode())
    return result.hexdigest()
