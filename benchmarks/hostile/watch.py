"""Asks a server and samples its memory, from a process of its own: the attackers' work must not be in its numbers.

    python -m benchmarks.hostile.watch REST_PORT PID

Prints a line of JSON when its stdin ends.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.hostile.server import Server

_PAUSE_S = 0.02
_SECOND_MS = 1e3


@dataclass(frozen=True)
class Measurement:
    """What was seen of a server for some seconds.

    Attributes:
        peak_mb: Of the memory of all its processes together (MiB).
        predict_ms: 99th percentile of a small request to a model.
        health_ms: The same of the probe.
        failed: Small requests without an answer, or with an error.
        cores: Processor seconds per second that its processes took.
    """

    peak_mb: float
    predict_ms: float
    health_ms: float
    failed: int
    cores: float


class Watch:
    """Runs the process."""

    def __init__(self, server: Server) -> None:
        command = [sys.executable, "-m", "benchmarks.hostile.watch", str(server.rest), str(server.process.pid)]
        self._process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)

    def end(self) -> Measurement:
        """Stops it."""
        output, _ = self._process.communicate("")
        return Measurement(**json.loads(output))


class _Client:
    """Repeats one request in a thread."""

    def __init__(self, port: int, method: str, path: str, body: bytes | None = None) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._request = port, method, path, body
        threading.Thread(target=self._repeat, daemon=True).start()

    def _repeat(self) -> None:
        while True:
            began = time.monotonic()
            self.failed += not self._ask(*self._request)
            self.seconds.append(time.monotonic() - began)
            time.sleep(_PAUSE_S)

    def _ask(self, port: int, method: str, path: str, body: bytes | None) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            return answer.status == http.HTTPStatus.OK
        return False

    def percentile(self) -> float:
        taken = sorted(self.seconds)
        return taken[int(0.99 * (len(taken) - 1))] * _SECOND_MS if taken else float("inf")


class _Sampler:
    """Memory and processor time of a process and its children."""

    def __init__(self, pid: int) -> None:
        import psutil

        self.peak, self._began = 0, time.monotonic()
        self._process = psutil.Process(pid)
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        threading.Thread(target=self._repeat, daemon=True).start()

    def _repeat(self) -> None:
        import psutil

        while True:
            with contextlib.suppress(psutil.Error):
                family = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(each.memory_info().rss for each in family))
                for each in family:
                    spent = sum(each.cpu_times()[:2])
                    self._first.setdefault(each.pid, spent)
                    self._last[each.pid] = spent
            time.sleep(5 * _PAUSE_S)

    def cores(self) -> float:
        spent = sum(self._last[pid] - first for pid, first in self._first.items())
        return spent / (time.monotonic() - self._began)


def main() -> None:
    """Measures until stdin ends."""
    port, pid = map(int, sys.argv[1:])
    predict = _Client(port, "POST", "/v1/models/numbers:predict", b'{"instances": [1.0]}')
    health, sampler = _Client(port, "GET", "/healthz"), _Sampler(pid)
    sys.stdin.read()
    result = {
        "peak_mb": sampler.peak / 2**20,
        "predict_ms": predict.percentile(),
        "health_ms": health.percentile(),
        "failed": predict.failed + health.failed,
        "cores": sampler.cores(),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
