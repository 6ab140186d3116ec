"""keraspipe without tracking and reports: `python -m benchmarks.untracked run digits --json`.

It starts no recorder, writes no model card, and reads neither the environment nor ML Metadata's ids. Only
`benchmarks/tracking_cost.py` uses it.
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
    """Replaces the recorder."""

    def finish(self, timeout_s: float) -> Outcome:  # noqa: ARG002
        """Returns at once: nothing is recorded."""
        return Outcome("", "", complete=True, error="")


def main() -> int:
    """Runs one command."""
    with (
        mock.patch.object(recorder, "start_recording", return_value=Nobody()),
        mock.patch.object(RunSession, "record_card"),
        mock.patch.object(RunSession, "record_environment", side_effect=_without_ids),
    ):
        return cli.main(sys.argv[1:])


def _without_ids(*_: object) -> None:
    """Called after the import of TFX, which takes the same time on both sides."""
    from pipeline.runner import local

    mock.patch.object(local, "_report_execution", return_value=nullcontext()).start()


if __name__ == "__main__":
    sys.exit(main())
