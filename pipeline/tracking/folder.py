"""The folder of a run in a workspace, and what the recorder has to do with in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps its records.

    Attributes:
        workspace: The workspace, an absolute path.
        run_id: The run.
    """

    workspace: Path
    run_id: str

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.workspace / "runs" / self.run_id

    @property
    def journal(self) -> Path:
        """The events."""
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the one process that records the run."""
        return self.path / ".recorder.lock"

    def inside(self, relative: str) -> Path:
        """A path as the journal names it, relative to the workspace.

        Raises:
            FileNotFoundError: It is not there any more.
        """
        path = self.workspace / relative
        if not path.exists():
            raise FileNotFoundError(f"{path} is gone")
        return path
