"""`keraspipe sync --every` beside a server, in a process of its own, so that MLflow slows no request."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.settings import Settings


@contextlib.contextmanager
def syncing(settings: Settings, every: float) -> Iterator[None]:
    """Syncs so often within the block, and ends with it or with this process; never for 0 seconds."""
    if not every > 0:
        yield
        return
    command = [
        sys.executable,
        "-P",
        "-m",
        "pipeline.cli",
        "sync",
        "--every",
        f"{every:g}",
        "--parent",
        f"{os.getpid()}",
    ]
    process = subprocess.Popen(  # noqa: S603  (our own program)
        [*command, "--workspace", str(settings.workspace)],
        stdin=subprocess.DEVNULL,
        cwd=settings.workspace.root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
