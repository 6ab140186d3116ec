"""Safe files: they appear complete or not at all, have digests, and are locked between processes.

A file is written under a temporary name, synced to the disk and renamed. A lock ends with the process that holds it,
even if that is killed. The only other locks are those of the request log of `serving`, on its data files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yields a path to write to; the content replaces `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def create_folder(path: Path) -> Iterator[Path]:
    """Yields a folder to fill; it becomes `path`, which must not exist, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        yield temporary
        for path_inside in [*temporary.rglob("*"), temporary]:
            sync(path_inside)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replaces a JSON file."""
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, default=float) + "\n")


def read_json(path: Path, default: Any = None) -> Any:
    """Returns the content of a JSON file, or `default` if there is none.

    Raises:
        DamagedFileError: It is cut off or no JSON; this is a ValueError, too.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedFileError(path, "JSON", error) from error
    except FileNotFoundError:
        return default


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_folder(folder: Path) -> str:
    """Returns the digest of all files of a folder, such as a SavedModel: names and contents."""
    result = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            result.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            result.update(path.read_bytes())
    return result.hexdigest()


@contextmanager
def lock(path: Path, on_wait: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[None]:
    """Waits for a lock and holds it during the block.

    Args:
        path: The lock file, which is created if it does not exist; or a folder.
        on_wait: Called once if another process holds the lock.
        shared: Whether the lock is shared: other processes may hold it too, if theirs is shared.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with _open_lock(path) as descriptor:
        if not _try_flock(descriptor, kind):
            if on_wait:
                on_wait()
            fcntl.flock(descriptor, kind)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Tries to take a lock without waiting; yields whether it is held during the block."""
    with _open_lock(path) as descriptor:
        yield _try_flock(descriptor, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Returns whether some process holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # read-only, for users who may not write
    except FileNotFoundError:
        return False
    with _close_after(descriptor):
        return not _try_flock(descriptor, fcntl.LOCK_EX)


def _try_flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_lock(path: Path) -> AbstractContextManager[int]:
    if path.is_dir():
        return _close_after(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    path.parent.mkdir(parents=True, exist_ok=True)
    return _close_after(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))


@contextmanager
def _close_after(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
