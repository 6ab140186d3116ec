"""Shared by all benchmarks: a result row, timed processes, and alternating repeats."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "KERASPIPE_DATA")
MESSAGE_CHARACTERS = 3000


class SkippedError(Exception):
    """A benchmark cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Row:
    """One row of the results.

    Attributes:
        name: What was measured.
        unit: Of `ours` and `theirs`.
        ours: Every repeat of keraspipe.
        theirs: Every repeat of the baseline; empty if the target is a number in `unit`.
        at_most: Upper target of the ratio of the medians, or of the median if there is no baseline.
        at_least: Lower target, where more is better.
        note: Why there are no numbers, or a remark on them.
        details: Seconds by step, for the JSON only.
    """

    name: str
    unit: str = "s"
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    details: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Median of `ours` divided by the median of `theirs`; None without a baseline."""
        return median(self.ours) / median(self.theirs) if self.ours and self.theirs else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; None if nothing was measured."""
        value = self.ratio or (median(self.ours) if self.ours else None)
        if value is None:
            return None
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


def in_turns(repeat: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Measures both sides alternately, so that a slow phase of the machine affects both."""
    pairs = [(ours(), theirs()) for _ in range(repeat)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def say(text: str) -> None:
    """Prints progress on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def fresh() -> Iterator[Path]:
    """Yields an empty temporary folder."""
    with tempfile.TemporaryDirectory(prefix="keraspipe-bench-") as folder:
        yield Path(folder)


def keraspipe(
    workspace: Path, *arguments: str, codes: tuple[int, ...] = (0,), recipes: Path | None = None
) -> tuple[float, str]:
    """Runs `keraspipe` on a workspace; returns wall seconds of the whole process, and its stdout."""
    command = [str(Path(sys.executable).parent / "keraspipe"), *arguments]
    more = {"KERASPIPE_RECIPES": str(recipes)} if recipes else {}
    return _timed(command, {"KERASPIPE_WORKSPACE": str(workspace), **more}, codes)


def module(name: str, *arguments: str | Path) -> tuple[float, str]:
    """Runs `python -m NAME` in the same environment; returns wall seconds of the whole process, and its stdout."""
    return _timed([sys.executable, "-m", name, *map(str, arguments)], {}, (0,))


def _timed(command: list[str], more: dict[str, str], codes: tuple[int, ...]) -> tuple[float, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={**kept, **more})
    seconds = time.monotonic() - started
    if done.returncode not in codes:
        tail = done.stderr[-MESSAGE_CHARACTERS:]
        raise RuntimeError(f"{' '.join(command)} ended with exit code {done.returncode}:\n{tail}")
    return seconds, done.stdout
