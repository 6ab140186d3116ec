"""The errors that a user reads: what happened, what was expected, what was received, what to do next."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

PACKAGES = [Path(__file__).resolve().parents[1] / name for name in ("pipeline", "serving")]  # keraspipe's own


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


class DamagedFileError(PipelineError, ValueError):
    """A file of a workspace is damaged, for example cut off by a full disk or a power failure.

    Args:
        path: The file.
        expected: What it should contain.
        reason: What is wrong with it.
    """

    def __init__(self, path: Path, expected: str, reason: object) -> None:
        super().__init__(
            f"{path} is damaged.",
            expected=expected,
            received=reason,
            action="keraspipe doctor   (it says how to repair it)",
        )


class UsageError(PipelineError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = 2


def describe_cause(error: BaseException) -> str:
    """Returns type and message of an error, with the line of the user's code that it comes from if there is one."""
    line = _find_user_line(error.__traceback__)
    return f"{type(error).__name__}: {error}" + (f" ({line})" if line else "")


def _find_user_line(trace: TracebackType | None) -> str:
    """Returns "FILE line N" of the innermost frame that is neither keraspipe's nor a library's; empty without one."""
    import traceback

    frames = [frame for frame in traceback.extract_tb(trace) if _is_user_file(Path(frame.filename))]
    return f"{frames[-1].filename} line {frames[-1].lineno}" if frames else ""


def _is_user_file(path: Path) -> bool:
    import sysconfig

    libraries = [Path(folder) for folder in sysconfig.get_paths().values()]
    return path.is_file() and not any(path.resolve().is_relative_to(folder) for folder in (*PACKAGES, *libraries))


def did_you_mean(name: str, names: Any) -> str:
    """Returns a hint with the names that are similar to the given one; empty if none is."""
    close = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {' or '.join(close)}?" if close else ""
