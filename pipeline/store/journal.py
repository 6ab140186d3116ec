"""The journal of a run: an append-only file of events, the source of the live view and of MLflow's data.

A line is one JSON object with `time` (seconds since 1970) and `event`; docs/journal.md lists the kinds. The file is
also an outbox: the events after the recorder's offset are not recorded in MLflow yet. A reader must expect a journal
that is still written to, is cut off, or contains a line that is not JSON.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# A global: TFX starts the steps and hashes all their parameters, so a path that differs per run cannot be one.
_CURRENT: ContextVar[Callable[..., None] | None] = ContextVar("journal", default=None)


def append_event(path: Path, event: str, /, **fields: Any) -> None:
    """Appends one event to a journal, on a new line even after a line that a full disk has cut off."""
    line = json.dumps({"time": time.time(), "event": event, **fields}, default=float) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" * torn + line.encode())
    finally:
        os.close(descriptor)


def read_lines(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yields the complete lines after a byte offset, each with the offset of its end."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def iter_events(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields the events after a byte offset, each with the offset of its end; skips unreadable lines."""
    for line, end in read_lines(path, offset):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        yield event, end


@contextmanager
def use_journal(path: Path) -> Iterator[None]:
    """Makes `report` write to a journal during the block."""
    with relay_events(partial(append_event, path)):
        yield


@contextmanager
def relay_events(handler: Callable[..., None]) -> Iterator[None]:
    """Makes `report` call `handler(event, **fields)` during the block, in a process that has no journal."""
    token = _CURRENT.set(handler)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def report(event: str, /, **fields: Any) -> None:
    """Appends an event to the current run's journal; does nothing outside a run."""
    handler = _CURRENT.get()
    if handler is not None:
        handler(event, **fields)


@dataclass(frozen=True)
class Event:
    """One line of a journal.

    Attributes:
        fields: The content of the line; empty if it cannot be read.
        end: Offset of the byte after the line.
        problem: Why the line cannot be read; empty if it can.
    """

    fields: dict[str, Any]
    end: int
    problem: str = ""

    @property
    def kind(self) -> str:
        """The event's name."""
        return str(self.fields.get("event", ""))


def read_events(path: Path, offset: int = 0) -> Iterator[Event]:
    """Yields the events after an offset, up to the last complete line."""
    return (_parse(line, end) for line, end in read_lines(path, offset))


def has_events(path: Path, offset: int) -> bool:
    """Returns whether there is a complete line after an offset."""
    return next(read_events(path, offset), None) is not None


def _parse(line: bytes, end: int) -> Event:
    try:
        fields = json.loads(line)
    except ValueError as error:
        return Event({}, end, f"unreadable line before byte {end}: {error}")
    if not isinstance(fields, dict):
        return Event({}, end, f"line before byte {end} is no event")
    return Event(fields, end)
