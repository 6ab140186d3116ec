"""Recording a run while it goes on."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from pipeline.tracking import events
from pipeline.tracking.errors import Unreachable
from pipeline.tracking.rehearsal import rehearsed
from pipeline.tracking.system import SystemMetrics

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.tracking.drain import Drain

POLL_S = 0.1
LONGEST_PAUSE_S = 15.0


class Ending:
    """Tells when a run is over: it says so in the journal, its process is gone, or we are asked to stop.

    Args:
        journal: The run's journal.
        since: Where this run begins in it; a run that was killed and goes on has an older part.
        parent: The run's process; 0 if nobody knows it.
    """

    def __init__(self, journal: Path, since: int, parent: int) -> None:
        self.journal = journal
        self.parent = parent
        self.asked = False
        self._offset = since
        self._last = ""

    def listen(self) -> None:
        """Takes SIGTERM as a wish to stop once the journal is recorded."""
        signal.signal(signal.SIGTERM, self._ask)

    def reached(self) -> bool:
        """Whether nothing more will come."""
        for event in events.read(self.journal, self._offset):
            self._offset, self._last = event.end, event.kind
        return self._last == "end" or self.asked or self._orphaned()

    def _orphaned(self) -> bool:
        # The parent started us, so we get another one the moment it dies, also while it is a zombie.
        return self.parent != 0 and os.getppid() != self.parent

    def _ask(self, *_: object) -> None:
        self.asked = True


def follow(drain: Drain, ending: Ending) -> None:
    """Records until the run is over, through outages of MLflow.

    Raises:
        Unreachable: MLflow was away when the run ended.
    """
    system = SystemMetrics(drain.destination.uri)
    pause, rehearsal = POLL_S, rehearsed()
    try:
        while True:
            # Asked first, so that what was written before the answer is still read.
            last = ending.reached()
            try:
                drain.all()
                pause = POLL_S
            except Unreachable:
                if last:
                    raise
                pause = min(2 * max(pause, 0.5), LONGEST_PAUSE_S)
            if last:
                return
            if pause == POLL_S:
                system.watch(drain.state.mlflow_run_id)
                next(rehearsal, None)
            _sleep(pause, ending)
    finally:
        system.stop()


def _sleep(seconds: float, ending: Ending) -> None:
    """Sleeps, but not past the end of the run."""
    until = time.monotonic() + seconds
    time.sleep(POLL_S)
    while time.monotonic() < until and not ending.reached():
        time.sleep(POLL_S)
