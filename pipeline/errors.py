"""The errors that a user reads: what happened, what was expected, what was received, what to do next."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class PipelineError(Exception):
    """A failure that the user can act on; shown without a traceback.

    Args:
        what: What happened, one sentence.
        expected: What would have been right.
        received: The actual value.
        action: What to do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str = "", received: object = None, action: str = "") -> None:
        lines = [what]
        if expected:
            lines.append(f"Expected: {expected}")
        if received is not None:
            lines.append(f"Received: {received}")
        if action:
            lines.append(f"Next: {action}")
        super().__init__("\n".join(lines))


def unreadable_file(path: Path, expected: str, error: Exception) -> PipelineError:
    """Returns the error for a file that cannot be read completely."""
    return PipelineError(
        f"{path} cannot be read completely.",
        expected=expected,
        received=str(error),
        action=f"replace {path} with an intact copy",
    )


class UsageError(PipelineError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = 2


def did_you_mean(name: str, names: Any) -> str:
    """Returns a hint with the names that are similar to the given one; empty if none is."""
    close = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {' or '.join(close)}?" if close else ""
