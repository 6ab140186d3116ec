"""Reading a journal that may still be written to, may be cut off, or may hold a line that nobody can read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Event:
    """One line of a journal.

    Attributes:
        fields: What the line says; empty for a line that cannot be read.
        end: Offset of the byte behind the line.
        problem: Why the line cannot be read; empty for a good one.
    """

    fields: dict[str, Any]
    end: int
    problem: str = ""

    @property
    def kind(self) -> str:
        """The event's name."""
        return str(self.fields.get("event", ""))


def read(path: Path, offset: int = 0) -> Iterator[Event]:
    """What lies behind an offset, up to the last complete line."""
    return (_parse(line, end) for line, end in journal.lines(path, offset))


def more(path: Path, offset: int) -> bool:
    """Whether a complete line lies behind an offset."""
    return next(read(path, offset), None) is not None


def _parse(line: bytes, end: int) -> Event:
    try:
        fields = json.loads(line)
    except ValueError as error:
        return Event({}, end, f"unreadable line before byte {end}: {error}")
    if not isinstance(fields, dict):
        return Event({}, end, f"line before byte {end} is no event")
    return Event(fields, end)
