"""`keraspipe sync --every` beside a server, in a process of its own, so that MLflow slows no request."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pipeline import subprocesses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.settings import Settings


@contextlib.contextmanager
def syncing(settings: Settings, every: float) -> Iterator[None]:
    """Syncs so often within the block, and ends with it or with this process; never for 0 seconds."""
    if not every > 0:
        yield
        return
    home = settings.workspace
    arguments = ["sync", "--every", f"{every:g}", "--parent", str(os.getpid()), "--workspace", str(home)]
    process = subprocesses.start("pipeline.cli", arguments, cwd=home.root, env=subprocesses.environment())
    try:
        yield
    finally:
        process.terminate()
        process.wait()
