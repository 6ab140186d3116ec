"""Files of the request log: names, writing, recovery, retention.

`MODEL/20261121T101530Z-PID-0001.tfrecord` is whole and never changes. While it is written it is called `.NAME.part` and
locked, so that another process can tell the file of a killed writer from one in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from serving.request_log import tfrecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_LOG = logging.getLogger("keraspipe.serving")
_SUFFIX = ".tfrecord"
_TRIES = 1000
_LONGEST = 200  # characters of a folder's name


def model_folder(folder: Path, model: str) -> Path:
    """The folder of a model's files; whatever its name is, it lies directly below `folder`."""
    name = quote(model, safe="", errors="surrogateescape")
    if len(name) > _LONGEST:  # file systems take 255 bytes
        name = f"{name[:_LONGEST]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return folder / (f"%2E{name[1:]}" if name.startswith(".") else name or "%")


def create_part(folder: Path, first: int = 1) -> tuple[int, Path, int]:
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
        if _try_lock(descriptor):
            return descriptor, part, number
        os.close(descriptor)  # a starting server is looking whether it is a left-over, and deletes it
    raise FileExistsError(f"{folder} has {_TRIES} files of this second")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def publish_part(descriptor: int, part: Path) -> Path:
    """Make a part file a whole one; the descriptor stays open.

    Raises:
        OSError: The disk does not take it; the part file is left for the next start.
    """
    os.fsync(descriptor)
    target = part.with_name(part.name[1 : -len(".part")])
    part.rename(target)
    _sync_folder(part.parent)
    return target


def _sync_folder(folder: Path) -> None:
    """Make a rename last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recover_parts(folder: Path) -> list[Path]:
    """Publish what killed processes left: the complete records of each part file that nobody has locked.

    Returns:
        The files that were published.
    """
    targets = []
    for part in sorted(folder.glob(f"*/.*{_SUFFIX}.part")):
        try:
            target = _recover_part(part)
        except OSError as error:
            _LOG.warning("The request log %s cannot be recovered: %s", part, error)
            continue
        if target:
            targets.append(target)
    return targets


def _recover_part(part: Path) -> Path | None:
    with part.open("r+b") as file:
        if not _try_lock(file.fileno()) or not _is_same_file(file.fileno(), part):
            return None
        end = tfrecord.whole_length(file)
        if not end:
            part.unlink()
            return None
        file.truncate(end)
        return publish_part(file.fileno(), part)


def _is_same_file(descriptor: int, part: Path) -> bool:
    """Whether the path is still the opened file: its writer may have published it meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), part.stat())
    except FileNotFoundError:
        return False


def trim_files(folder: Path, total_bytes: int) -> list[Path]:
    """Delete the oldest whole files until all of them, parts included, take no more than `total_bytes`.

    Returns:
        The files that were deleted.
    """
    sizes = {path: _file_size(path) for path in folder.glob("*/*") if path.name.endswith((_SUFFIX, ".part"))}
    total, deleted = sum(sizes.values()), []
    for path in sorted((path for path in sizes if path.suffix == _SUFFIX), key=lambda path: path.name):
        if total <= total_bytes:
            break
        path.unlink(missing_ok=True)
        total -= sizes[path]
        deleted.append(path)
    return deleted


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # published or deleted by another process meanwhile
        return 0


class LogWriter:
    """Appends records to a model's files.

    A record is in the file whole or not at all: after a failure, such as a full disk, the file is cut back to
    the last whole record and published, and the next record begins a new one.

    Args:
        path: The model's folder.
        file_bytes: Size at which a new file is begun.
        published: Called after each file that is whole.
    """

    def __init__(self, path: Path, file_bytes: int, published: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._file_bytes = file_bytes
        self._published = published
        self._descriptor = -1
        self._part: Path | None = None
        self._number = 0
        self._size = 0
        self._since = 0.0

    def write(self, record: bytes) -> None:
        """Append one record.

        Raises:
            OSError: The disk does not take it.
        """
        framed = tfrecord.frame(record)
        if self._part and self._size + len(framed) > self._file_bytes:
            self.close()
        if not self._part:
            self._descriptor, self._part, self._number = create_part(self._path, self._number + 1)
            self._since = time.monotonic()
        try:
            _write_all(self._descriptor, framed)
        except OSError:
            self._cut()
            raise
        self._size += len(framed)

    def _cut(self) -> None:
        """Publish what was whole before; a file that cannot be cut is left for the next start to recover."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            os.close(self._descriptor)
            self._part, self._size = None, 0
            raise
        self.close()

    def age(self) -> float:
        """Seconds since the open file's first record; 0 when none is open."""
        return time.monotonic() - self._since if self._part else 0.0

    def close(self) -> None:
        """Publish the open file, if there is one.

        Raises:
            OSError: The disk does not take it; the part file is recovered at the next start.
        """
        if not self._part:
            return
        try:
            if self._size:
                publish_part(self._descriptor, self._part)
            else:
                self._part.unlink()
        finally:
            os.close(self._descriptor)
            self._part, self._size = None, 0
        self._published()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
