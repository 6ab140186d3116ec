"""Files of the request log: names, recovery, how much is kept.

`MODEL/20261121T101530Z-PID-0001.tfrecord` is whole and never changes. While it is written it is called
`.NAME.part` and locked, so that another process can tell the file of a killed writer from one in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from serving.requestlog import tfrecord

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger("keraspipe.serving")
_SUFFIX = ".tfrecord"
_TRIES = 1000
_LONGEST = 200  # characters of a folder's name


def of_model(folder: Path, model: str) -> Path:
    """The folder of a model's files; whatever its name is, it lies directly below `folder`."""
    name = quote(model, safe="", errors="surrogateescape")
    if len(name) > _LONGEST:  # file systems take 255 bytes
        name = f"{name[:_LONGEST]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return folder / (f"%2E{name[1:]}" if name.startswith(".") else name or "%")


def create(folder: Path, first: int = 1) -> tuple[int, Path, int]:
    """A new, locked part file.

    Args:
        folder: The model's.
        first: Number to try first. A number may be free again because its file was deleted; used once more, it
            would make a new file look older than it is.

    Returns:
        Its descriptor, path and number.

    Raises:
        OSError: It cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    for number in range(first, first + _TRIES):
        target = folder / f"{stamp}-{number:04}{_SUFFIX}"
        part = folder / f".{target.name}.part"
        if target.exists():
            continue
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640)
        except FileExistsError:
            continue
        if _locked(descriptor):
            return descriptor, part, number
        os.close(descriptor)  # a starting server is looking whether it is a left-over, and deletes it
    raise FileExistsError(f"{folder} has {_TRIES} files of this second")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def publish(descriptor: int, part: Path) -> Path:
    """Make a part file a whole one; the descriptor stays open.

    Raises:
        OSError: The disk does not take it; the part file is left for the next start.
    """
    os.fsync(descriptor)
    target = part.with_name(part.name[1 : -len(".part")])
    part.rename(target)
    _sync(part.parent)
    return target


def _sync(folder: Path) -> None:
    """Make a rename last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recover(folder: Path) -> list[Path]:
    """Publish what killed processes left: the complete records of each part file that nobody has locked.

    Returns:
        The files that were published.
    """
    found = []
    for part in sorted(folder.glob(f"*/.*{_SUFFIX}.part")):
        try:
            target = _recovered(part)
        except OSError as error:
            _LOG.warning("The request log %s cannot be recovered: %s", part, error)
            continue
        if target:
            found.append(target)
    return found


def _recovered(part: Path) -> Path | None:
    with part.open("r+b") as file:
        if not _locked(file.fileno()) or not _still_there(file.fileno(), part):
            return None
        end = tfrecord.whole(file)
        if not end:
            part.unlink()
            return None
        file.truncate(end)
        return publish(file.fileno(), part)


def _still_there(descriptor: int, part: Path) -> bool:
    """Whether the path is still the opened file: its writer may have published it meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), part.stat())
    except FileNotFoundError:
        return False


def trim(folder: Path, total_bytes: int) -> list[Path]:
    """Delete the oldest whole files until all of them, parts included, take no more than `total_bytes`.

    Returns:
        The files that were deleted.
    """
    sizes = {path: _size(path) for path in folder.glob("*/*") if path.name.endswith((_SUFFIX, ".part"))}
    total, deleted = sum(sizes.values()), []
    for path in sorted((path for path in sizes if path.suffix == _SUFFIX), key=lambda path: path.name):
        if total <= total_bytes:
            break
        path.unlink(missing_ok=True)
        total -= sizes[path]
        deleted.append(path)
    return deleted


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # published or deleted by another process meanwhile
        return 0
