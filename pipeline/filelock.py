"""Locks between processes: a lock ends with the process that holds it, however it dies.

The request log of `serving` locks its own data files through the descriptors that it writes with; that is the only
other place.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def lock(path: Path, on_wait: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[None]:
    """Waits for a lock and holds it during the block.

    Args:
        path: The lock file, which is made if it is not there; or a folder, which is locked itself.
        on_wait: Called once if another process holds it.
        shared: Whether others may hold it too, if they share it.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with _open(path) as descriptor:
        if not _take(descriptor, kind):
            if on_wait:
                on_wait()
            fcntl.flock(descriptor, kind)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Yields whether the lock was free; if so it is held during the block."""
    with _open(path) as descriptor:
        yield _take(descriptor, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # to read: also where this user may not write
    except FileNotFoundError:
        return False
    with _closing(descriptor):
        return not _take(descriptor, fcntl.LOCK_EX)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> AbstractContextManager[int]:
    if path.is_dir():
        return _closing(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    path.parent.mkdir(parents=True, exist_ok=True)
    return _closing(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
