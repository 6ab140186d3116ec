"""keraspipe with a clock on its tracking and reports: `python -m benchmarks.tracked run digits --json`.

After the command's output it prints a line {"seconds", "tracking"}: seconds of the whole command since its imports, and
seconds of them that the run's process spends on the recorder, the journal, ML Metadata's ids, the environment and the
model card. Two numbers of one process are comparable even if equal runs differ by more than the effect. That the
recorder uses the same cores in a second process shows only in a comparison of whole runs.
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
    (recorder, "start_recording"),
    (recorder.Recording, "finish"),
    (execution, "replay_journals"),
    (RunSession, "record_card"),
    (journal, "report"),
)


class Clock:
    """Sum of the seconds in the measured calls; nested calls count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measures the block, unless it is inside a measured block."""
        if self._inside:
            yield
            return
        self._inside, began = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside, self.seconds = False, self.seconds + time.perf_counter() - began

    def watch(self, owner: Any, name: str) -> None:
        """Measures every call of a function from now on."""
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
    record_environment = RunSession.record_environment

    def record(session: RunSession) -> None:
        """Called after the import of TFX, which ML Metadata needs."""
        from pipeline.runner import mlmd

        clock.watch(mlmd, "execution_to_event")
        with clock.running():
            record_environment(session)

    with mock.patch.object(RunSession, "record_environment", record):
        code = cli.main(sys.argv[1:])
    print(json.dumps({"seconds": time.perf_counter() - began, "tracking": clock.seconds}))
    return code


if __name__ == "__main__":
    sys.exit(main())
