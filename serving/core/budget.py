"""How many bytes of requests the server holds at a time."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/memory.max")


class Budget:
    """Bytes that may be held; used on the event loop only.

    Args:
        limit: At most so many; None for half of the memory that this process may use.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = memory() // 2 if limit is None else limit
        self._held = 0

    def take(self, size: int) -> bool:
        """Hold `size` more bytes; False, and nothing held, where that is too much."""
        if self._held + size > self._limit:
            return False
        self._held += size
        return True

    def give(self, size: int) -> None:
        """Hold `size` bytes less."""
        self._held -= size


def memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return machine
