"""Records reports in MLflow: `python -m pipeline.monitoring WORKSPACE --uri URI`.

Exit code 0: all reports are recorded. 4: MLflow cannot be reached or refuses.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from pipeline.console import exit_now
from pipeline.monitoring import outputs
from pipeline.store import fileio
from pipeline.store.layout import Workspace
from pipeline.tracking import process
from pipeline.tracking.client import TrackingStore, Unreachable


def main(arguments: list[str] | None = None) -> int:
    """Records the pending reports, one process at a time."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.monitoring", description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--uri", required=True, help="MLflow server or database")
    options = parser.parse_args(arguments)
    home = Workspace(options.workspace).absolute()
    return process.run_to_exit_code(home, options.uri, partial(_record, home, options.uri))


def _record(workspace: Workspace, uri: str) -> None:
    destination = TrackingStore(uri, workspace)
    with fileio.lock(workspace.monitoring_lock):
        try:
            destination.probe()
            for folder in outputs.pending_reports(workspace):
                outputs.record_report(destination, folder)
        except Exception as error:  # the reports are kept, and the next process tries again
            raise Unreachable.from_error(uri, error) from error


if __name__ == "__main__":
    exit_now(main())
