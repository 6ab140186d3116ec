"""keraspipe without tracking and reports: `python -m benchmarks.untracked run digits --json`.

No recorder is started, no card is written, and neither the environment nor ML Metadata's ids are looked up. For
`benchmarks/tracking_cost.py` alone: nobody wants a run that leaves no trace.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from unittest import mock

from pipeline import cli
from pipeline.runner.lifecycle import RunSession
from pipeline.tracking import recorder
from pipeline.tracking.recorder import Outcome


class Nobody:
    """Stands where the recorder stands."""

    def finish(self, timeout_s: float) -> Outcome:  # noqa: ARG002
        """There is nothing to wait for."""
        return Outcome("", "", complete=True, error="")


def main() -> int:
    """Runs one command."""
    with (
        mock.patch.object(recorder, "start", return_value=Nobody()),
        mock.patch.object(RunSession, "record_card"),
        mock.patch.object(RunSession, "record_environment", side_effect=_without_ids),
    ):
        return cli.main(sys.argv[1:])


def _without_ids(*_: object) -> None:
    """Called once TFX is imported, which takes its time on both sides alike."""
    from pipeline.runner import local

    mock.patch.object(local, "_report_execution", return_value=nullcontext()).start()


if __name__ == "__main__":
    sys.exit(main())
