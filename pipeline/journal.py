"""The journal of one run: an append-only file of events, from which the live view and MLflow are fed.

A line is one JSON object with `time` (seconds since 1970) and `event`; docs/journal.md lists the kinds. The file is
the outbox too: what MLflow has not seen yet is what lies behind the offset that the recorder keeps.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# TFX starts the steps itself and hashes all that it hands them, so a path that differs per run cannot travel there.
_CURRENT: ContextVar[Path | None] = ContextVar("journal", default=None)


def write(path: Path, event: str, /, **fields: Any) -> None:
    """Appends one event to a journal; a line is written whole or not at all."""
    line = json.dumps({"time": time.time(), "event": event, **fields}, default=float) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields the complete events behind a byte offset, each with the offset that follows it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield json.loads(line), offset


@contextmanager
def current(path: Path) -> Iterator[None]:
    """Makes a journal the one that `report` writes to."""
    token = _CURRENT.set(path)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def report(event: str, /, **fields: Any) -> None:
    """Appends an event to the current run's journal; does nothing outside a run."""
    path = _CURRENT.get()
    if path is not None:
        write(path, event, **fields)
