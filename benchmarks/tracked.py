"""keraspipe with a clock on what it does for tracking and reports: `python -m benchmarks.tracked run digits --json`.

Behind what the command prints comes a line {"seconds", "tracking"}: of the whole command since its imports, and of it
in the run's own process for the recorder, the journal, ML Metadata's ids, the surroundings and the card. Two numbers of
one process are comparable where a noisy machine makes runs by turns differ by more than what is looked for; that the
recorder works beside the run on the same processors shows in those only.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from pipeline import cli
from pipeline.runner import execution
from pipeline.runner.lifecycle import RunSession
from pipeline.store import journal
from pipeline.tracking import recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WATCHED = (
    (recorder, "start"),
    (recorder.Recording, "finish"),
    (execution, "replay"),
    (RunSession, "record_card"),
    (journal, "report"),
)


class Clock:
    """Seconds within what it watches; what is watched within something watched counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the block, unless it is in one that counts."""
        if self._inside:
            yield
            return
        self._inside, began = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside, self.seconds = False, self.seconds + time.perf_counter() - began

    def watch(self, owner: Any, name: str) -> None:
        """Counts every call from now on."""
        call = getattr(owner, name)
        mock.patch.object(owner, name, self._counting(call)).start()

    def _counting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            with self.running():
                return call(*arguments, **named)

        return counted


def main() -> int:
    """Runs one command and prints both times."""
    clock, began = Clock(), time.perf_counter()
    for owner, name in WATCHED:
        clock.watch(owner, name)
    tell = RunSession.record_environment

    def record(session: RunSession) -> None:
        """Called once TFX is imported, without which the ledger cannot be."""
        from pipeline.runner import mlmd

        clock.watch(mlmd, "told")
        with clock.running():
            tell(session)

    with mock.patch.object(RunSession, "record_environment", record):
        code = cli.main(sys.argv[1:])
    print(json.dumps({"seconds": time.perf_counter() - began, "tracking": clock.seconds}))
    return code


if __name__ == "__main__":
    sys.exit(main())
