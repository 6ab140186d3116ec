"""The one part file that a model's records go into now."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from serving.requestlog import folder, tfrecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Writer:
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
            self._descriptor, self._part, self._number = folder.create(self._path, self._number + 1)
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
                folder.publish(self._descriptor, self._part)
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
