"""Output to the terminal: what libraries print goes to a log file, tables have aligned columns, and how numbers look.

rich.table aligns, too, but its import alone takes 0.05 s of CPU, and `keraspipe models` needs 0.09 s of the 0.1 s
that it may take. For pipes its padding and wrapping would also have to be removed.

The end of a process is here as well: it writes the last of the output.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GENERATED = "__autograph_generated_file"  # begins the names of modules that AutoGraph has written
SMALL, LARGE, HUGE = 0.01, 1e5, 1e12  # limits within which a number is written with four decimals, or none


@dataclass(frozen=True)
class Terminal:
    """The real stdout and stderr."""

    out: TextIO
    err: TextIO


@contextmanager
def redirect_output(log: Path) -> Iterator[Terminal]:
    """Sends file descriptors 1 and 2 to a log file and yields the real ones.

    TensorFlow's C++ code writes to the descriptors, so replacing sys.stderr is not enough.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):  # what nobody reads any more goes to the log
            stream.flush()
    originals = [os.dup(1), os.dup(2)]
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    out, err = (os.fdopen(os.dup(number), "w", encoding="utf-8", errors="replace") for number in originals)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield Terminal(out, err)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in enumerate(originals, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(target)
        for stream in (out, err):
            with suppress(OSError):  # a pipe whose reader has gone takes nothing more, and that is no error of a run
                stream.close()


def say(text: str, *, error: bool = False) -> None:
    """Prints at once, to stdout or stderr; nothing happens where the reader has gone (`| head`).

    What a command has done stays done, and its exit code says how it ended, whoever reads it.
    """
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr if error else sys.stdout, flush=True)


def align_columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Returns one line for each row; all rows must have as many cells as the first."""
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def format_number(value: float | None, sign: str = "") -> str:
    """Formats a measured number so that its leading digits show, whatever its unit.

    Four decimals (0.9871) unless these hide a small number (1.23e-05) or add nothing to a large one (335,162); "-" for
    a number that does not exist: None or NaN.

    Args:
        value: The number.
        sign: "+" to write the sign of positive numbers, too.
    """
    if value is None or math.isnan(value):
        return "-"
    size = abs(value)
    form = ".4f" if SMALL <= size < LARGE or size == 0 else ",.0f" if LARGE <= size < HUGE else ".4g"
    return format(value, sign + form)


def exit_now(code: int) -> NoReturn:
    """Ends this process at once: the shutdown of TensorFlow takes seconds, that of MLflow a second.

    Args:
        code: Its exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # the reader of the pipe has gone
                stream.flush()
    remove_generated_code()
    os._exit(code)


def remove_generated_code() -> None:
    """Removes the files that TensorFlow's AutoGraph has left in the temporary folder, as its own shutdown does."""
    for name, module in list(sys.modules.items()):
        if name.startswith(GENERATED) and module.__file__:
            with suppress(OSError):
                Path(module.__file__).unlink()
