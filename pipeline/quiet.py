"""Keeps the terminal for the user: everything that libraries print goes to the run's log file."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Terminal:
    """The real stdout and stderr."""

    out: TextIO
    err: TextIO


@contextmanager
def output_to(log: Path) -> Iterator[Terminal]:
    """Sends file descriptors 1 and 2 to a log file and yields the real ones.

    TensorFlow's C++ code writes to the descriptors, so replacing sys.stderr would not do.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    out, err = (os.fdopen(os.dup(number), "w", encoding="utf-8", errors="replace") for number in kept)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield Terminal(out, err)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(target)
        out.close()
        err.close()
