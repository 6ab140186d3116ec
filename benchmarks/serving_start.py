"""Seconds to the first answer, and resident memory then, compared with a process of only TensorFlow and the model."""

from __future__ import annotations

import sys
import time

import psutil

from benchmarks.measure import Row
from benchmarks.serving import models, payloads, process, servers

REPEAT = 5
AT_MOST = 1.3


def measure(repeat: int) -> list[Row]:
    """Measures seconds and memory of the same processes, alternating."""
    models.folder("mlp")
    pairs = [(_ours(), _bare()) for _ in range(repeat)]
    seconds, memory = [[[side[value] for side in pair] for pair in pairs] for value in (0, 1)]
    return [
        Row("start to the first answer, TensorFlow and model alone", "s", *_sides(seconds), at_most=AT_MOST),
        Row("resident memory, TensorFlow and model alone", "MiB", *_sides(memory), at_most=AT_MOST),
    ]


def _sides(pairs: list[list[float]]) -> tuple[list[float], list[float]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _ours() -> tuple[float, float]:
    started = time.monotonic()
    with servers.ours(models.folder("mlp"), "mlp", payloads.numbers(1)) as own:
        return own.ready - started, _resident(own.process.pid)


def _bare() -> tuple[float, float]:
    started = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.serving.bare", str(models.folder("mlp") / "mlp" / "1")]
    with process.running(command, talks=True) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        return time.monotonic() - started, _resident(bare.pid)


def _resident(pid: int) -> float:
    """Returns the MiB of a process and its children."""
    found = psutil.Process(pid)
    return float(sum(one.memory_info().rss for one in [found, *found.children(recursive=True)])) / 2**20
