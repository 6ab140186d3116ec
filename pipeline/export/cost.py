"""What a model costs: the time of one row, and the size of its files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WARM_UP_CALLS = 3
MIN_CALLS, MAX_CALLS = 10, 100
MEASURE_S = 0.1


def measure_latency(call: Callable[[], object]) -> dict[str, float]:
    """Measures the milliseconds of one call: {"p50", "p95", "p99", "calls"}.

    Makes ten to a hundred calls in about 0.1 s, after a few to warm up.
    """
    for _ in range(WARM_UP_CALLS):
        call()
    times: list[float] = []
    while len(times) < MIN_CALLS or (len(times) < MAX_CALLS and sum(times) < MEASURE_S):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    p50, p95, p99 = (np.quantile(times, (0.5, 0.95, 0.99)) * 1000).round(4).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "calls": len(times)}


def size_mb(folder: Path) -> float:
    """Returns the size of a SavedModel's files, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
