"""A SavedModel on disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def digest(folder: Path) -> str:
    """Digest of all files of a SavedModel, names and contents."""
    result = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            result.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            result.update(path.read_bytes())
    return result.hexdigest()
