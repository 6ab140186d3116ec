"""A process that trains one trial after the other, so that what kills it ends a trial and not the search."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline import subprocesses

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

TRIALS_PER_PROCESS = 10  # TensorFlow does not give back all that a trained network took


class Worker:
    """Starts the process when it is needed, and anew after one that died or has done its share.

    Args:
        log: File for what TensorFlow prints.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[str] | None = None
        self._done = 0

    def train(self, task: dict[str, Any], report: Callable[[int, dict[str, float]], bool]) -> dict[str, Any]:
        """Trains one trial.

        Args:
            task: See `pipeline.tuning.__main__`.
            report: (epoch, metrics) -> whether to go on; called after every epoch, the first one is 1.

        Returns:
            {"state": "complete", "value", "epochs"}, {"state": "pruned"} or {"state": "failed" or "refused",
            "reason"}.
        """
        process = self._ready()
        self._done += 1
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it has died, which its answer tells
            print(json.dumps(task), file=process.stdin, flush=True)
            for line in process.stdout:
                told = json.loads(line)
                if "state" in told:
                    return dict(told)
                goes_on = report(told["epoch"], told["metrics"])
                print(json.dumps(goes_on), file=process.stdin, flush=True)
        return {"state": "failed", "reason": self._death(process)}

    def close(self) -> None:
        """Ends the process, which has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process, self._done = None, 0

    def _death(self, process: subprocess.Popen[str]) -> str:
        code = process.wait()
        self.close()
        if code == -signal.SIGKILL:
            return "its process was killed from outside (signal 9), as happens when memory runs out"
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"its process {how}, see {self.log}"

    def _ready(self) -> subprocess.Popen[str]:
        if self._process is None or self._done >= TRIALS_PER_PROCESS:
            self.close()
            self._process = self._started()
        return self._process

    def _started(self) -> subprocess.Popen[str]:
        with self.log.open("ab") as log:
            return subprocesses.start_worker("pipeline.tuning", cwd=self.log.parent, log=log)
