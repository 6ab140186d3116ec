"""The version folders of a model on disk, as TensorFlow Serving's FileSystemStoragePathSource reads them.

A version is a child folder whose whole name is a number, such as `digits/3`.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

_LOG = logging.getLogger("keraspipe.serving")
_NUMBER = re.compile(r"[0-9]{1,40}", re.ASCII)
_INT64 = 2**63
_warned: set[tuple[str, int]] = set()


def list_versions(base_path: Path) -> dict[int, str]:
    """Names of the versions below a folder: children whose whole name is an int64; leading zeros are allowed.

    Reads the folder once and not the versions inside: a base path may hold thousands.

    Raises:
        OSError: The folder cannot be read.
    """
    names: dict[int, str] = {}
    with os.scandir(base_path) as entries:
        for entry in entries:
            number = _version_number(entry)
            if number is not None:
                previous = names.get(number)
                if previous is not None:
                    _warn_duplicate(base_path, number, previous, entry.name)
                names[number] = max(previous or "", entry.name)
    return names


def has_version(base_path: Path) -> bool:
    """Whether a folder holds any version; False when it cannot be read."""
    try:
        with os.scandir(base_path) as entries:
            return any(_version_number(entry) is not None for entry in entries)
    except OSError:
        return False


def _version_number(entry: os.DirEntry[str]) -> int | None:
    if not _NUMBER.fullmatch(entry.name):
        return None
    number = int(entry.name)
    return number if number < _INT64 and entry.is_dir() else None


def _warn_duplicate(base_path: Path, number: int, first: str, second: str) -> None:
    key = (os.fspath(base_path), number)
    if key in _warned:  # once, not at every look
        return
    _warned.add(key)
    _LOG.warning(
        "Duplicate version directories detected. Version %s of %s is loaded from %s, %s is ignored.",
        number,
        base_path,
        max(first, second),
        min(first, second),
    )


Fingerprint = tuple[tuple[str, int, int], ...]


def folder_fingerprint(path: Path) -> Fingerprint:
    """Returns names, sizes and times of the files of a version, to detect that a broken version was repaired."""
    marks = []
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                status = file.stat()
            except OSError:  # it was deleted meanwhile
                continue
            marks.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(sorted(marks))
