"""Version folders on disk."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

_LOG = logging.getLogger("keraspipe.serving")
_NUMBER = re.compile(r"[0-9]{1,40}", re.ASCII)
_INT64 = 2**63
_told: set[tuple[str, int]] = set()


def numbered(base_path: Path) -> dict[int, str]:
    """Names of the versions below a folder: children whose whole name is an int64; leading zeros are allowed.

    One reading of the folder, whatever lies in the versions: a base path may hold thousands.

    Raises:
        OSError: The folder cannot be read.
    """
    found: dict[int, str] = {}
    with os.scandir(base_path) as entries:
        for entry in entries:
            number = _number(entry)
            if number is not None:
                other = found.get(number)
                if other is not None:
                    _tell_duplicate(base_path, number, other, entry.name)
                found[number] = max(other or "", entry.name)
    return found


def has_version(base_path: Path) -> bool:
    """Whether a folder holds any version; False when it cannot be read."""
    try:
        with os.scandir(base_path) as entries:
            return any(_number(entry) is not None for entry in entries)
    except OSError:
        return False


def _number(entry: os.DirEntry[str]) -> int | None:
    if not _NUMBER.fullmatch(entry.name):
        return None
    number = int(entry.name)
    return number if number < _INT64 and entry.is_dir() else None


def _tell_duplicate(base_path: Path, number: int, one: str, other: str) -> None:
    key = (os.fspath(base_path), number)
    if key in _told:  # once, not at every look
        return
    _told.add(key)
    _LOG.warning(
        "Duplicate version directories detected. Version %s of %s is loaded from %s, %s is ignored.",
        number,
        base_path,
        max(one, other),
        min(one, other),
    )


Mark = tuple[tuple[str, int, int], ...]


def fingerprint(path: Path) -> Mark:
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
