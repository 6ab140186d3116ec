"""The workspace: where a run's files lie, who may write, and which version of the layout it has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline import atomic
from pipeline.errors import PipelineError

FORMAT = 1
NEEDED_BYTES = 200 << 20
RUNS_LOCK = Path("locks") / "runs"  # shared by all runs; who holds it alone may remove what they could need


def prepare(workspace: Path) -> None:
    """Makes a workspace, or checks that an existing one can be used.

    Raises:
        PipelineError: It cannot be written, has no room, or was written by a newer keraspipe.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        found = atomic.read_json(workspace / "workspace.json")
        if found is None:
            atomic.write_json(workspace / "workspace.json", {"format": FORMAT})
        else:
            _require_known(workspace, found)
        _probe(workspace)
    except OSError as error:
        raise unwritable(workspace, error) from error
    _require_room(workspace)


def _probe(workspace: Path) -> None:
    probe = workspace / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(b"x" * 4096)
    finally:
        probe.unlink(missing_ok=True)


def _require_room(workspace: Path) -> None:
    free = shutil.disk_usage(workspace).free
    if free < NEEDED_BYTES:
        raise PipelineError(
            f"The workspace {workspace} has too little room.",
            expected=f"at least {NEEDED_BYTES >> 20} MiB free",
            received=f"{free >> 20} MiB free",
            action="free some space, or choose another folder with --workspace",
        )


def _require_known(workspace: Path, found: dict[str, int]) -> None:
    if not isinstance(found, dict) or found.get("format", 0) > FORMAT:
        raise PipelineError(
            f"The workspace {workspace} was written by a newer keraspipe.",
            expected=f"workspace format {FORMAT} or older",
            received=f"format {found.get('format') if isinstance(found, dict) else found}",
            action="update keraspipe, or choose another folder with --workspace",
        )


def unwritable(workspace: Path, error: OSError) -> PipelineError:
    """The error for a workspace that refuses a write: read-only, full, or not a folder."""
    return PipelineError(
        f"The workspace {workspace} cannot be written.",
        expected="a folder that this user may write, with free space",
        received=f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else ""),
        action="mend that, or choose another folder with --workspace",
    )
