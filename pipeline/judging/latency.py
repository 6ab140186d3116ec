"""How long the served signature takes for one row, in this process and on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 3
FEWEST, MOST = 10, 100
PATIENCE_S = 0.1


def measured(ask: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of one call: {"p50", "p95", "p99", "calls"}.

    Ten to a hundred calls, for about 0.1 s, after a few that are not counted.
    """
    for _ in range(WARM_UP):
        ask()
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < PATIENCE_S):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    p50, p95, p99 = (np.quantile(times, (0.5, 0.95, 0.99)) * 1000).round(4).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "calls": len(times)}
