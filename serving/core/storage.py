"""Version folders on disk."""

from __future__ import annotations

import os
import re
from pathlib import Path

_NUMBER = re.compile(r"[0-9]{1,40}", re.ASCII)
_INT64 = 2**63


def numbered(base_path: Path) -> dict[int, Path]:
    """The versions below a folder: children whose whole name is an int64; leading zeros are allowed.

    Raises:
        OSError: The folder cannot be read.
    """
    found: dict[int, Path] = {}
    with os.scandir(base_path) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if _NUMBER.fullmatch(entry.name) and int(entry.name) < _INT64 and entry.is_dir():
                found[int(entry.name)] = Path(entry.path)
    return found


def fingerprint(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of what lies in a version's folder, to see that a broken one was mended."""
    marks = []
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                status = file.stat()
            except OSError:  # it went away while we looked
                continue
            marks.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(sorted(marks))
