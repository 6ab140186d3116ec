"""The recorder: `python -m pipeline.tracking WORKSPACE RUN_ID... --uri URI [--follow --parent PID]`.

Exit code 0: all events of the journals are recorded. 4: MLflow cannot be reached or refuses.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.console import exit_now
from pipeline.store import fileio
from pipeline.store.layout import Workspace
from pipeline.tracking import process
from pipeline.tracking.client import TrackingStore
from pipeline.tracking.follower import JournalReplayer, RunEnd, follow

if TYPE_CHECKING:
    from pipeline.store.layout import RunFolder


def main(arguments: list[str] | None = None) -> int:
    """Records one run while it is running, or replays several finished ones."""
    options = _parser().parse_args(arguments)
    home = Workspace(Path(options.workspace)).absolute()
    return process.run_to_exit_code(home, options.uri, partial(_record, home, options))


def _record(workspace: Workspace, options: argparse.Namespace) -> None:
    destination = TrackingStore(options.uri, workspace)
    for run_id in options.run_ids:
        folder = workspace.run(run_id)
        if options.follow:
            _record_live(destination, folder, RunEnd(folder.journal, options.since, options.parent))
        else:
            _record_backlog(destination, folder)


def _record_live(destination: TrackingStore, folder: RunFolder, run_end: RunEnd) -> None:
    run_end.listen()
    # Another recorder of the same run may still be finishing: wait for it.
    with fileio.lock(folder.recorder_lock):
        replayer = JournalReplayer(destination, folder)
        follow(replayer, run_end)
        replayer.stop()


def _record_backlog(destination: TrackingStore, folder: RunFolder) -> None:
    with fileio.try_lock(folder.recorder_lock) as free:
        if free:
            replayer = JournalReplayer(destination, folder)
            replayer.all()
            replayer.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.tracking", description=__doc__.splitlines()[0])
    parser.add_argument("workspace")
    parser.add_argument("run_ids", nargs="+", metavar="RUN_ID")
    parser.add_argument("--uri", required=True, help="MLflow server or database")
    parser.add_argument("--follow", action="store_true", help="record until the run has ended")
    parser.add_argument("--parent", type=int, default=0, help="process id of the run")
    parser.add_argument("--since", type=int, default=0, help="offset in the journal where this run begins")
    return parser


if __name__ == "__main__":
    exit_now(main())
