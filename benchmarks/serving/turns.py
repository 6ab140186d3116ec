"""Loads on several servers, alternating, so that a slow phase of the machine affects all of them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from serving.loadtest.generator import run
from serving.loadtest.target import Load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.loadtest.result import Result
    from serving.loadtest.target import Target

MEASURED_S = 1.5
WARMUP_S = 0.3
Rates = dict[str, dict[int, list[float]]]


def rates(targets: Mapping[str, Target], clients: tuple[int, ...], repeat: int, channels: int | None = None) -> Rates:
    """Good answers per second of closed loops, by target and number of clients, for every repeat.

    Args:
        targets: What is asked, by name.
        clients: Numbers of clients.
        repeat: How often each is measured.
        channels: Of gRPC; None for the default.

    Raises:
        RuntimeError: A request failed.
    """
    found: Rates = {name: {count: [] for count in clients} for name in targets}
    for _ in range(repeat):
        for count in clients:
            for name, target in targets.items():
                found[name][count].append(good(target, closed(count, channels)).rate)
    return found


def closed(clients: int, channels: int | None = None) -> Load:
    """Runs a short closed loop."""
    return Load(concurrency=clients, duration_s=MEASURED_S, warmup_s=WARMUP_S, connections=channels)


def good(target: Target, load: Load) -> Result:
    """A run without failures.

    Raises:
        RuntimeError: A request failed.
    """
    result = uninterrupted(target, load)
    if result.failures:
        raise RuntimeError(f"{target.address}{target.path} failed: {result.errors}")
    return result


def uninterrupted(target: Target, load: Load) -> Result:
    """A run; Ctrl-C ends the benchmark and not only the run.

    Raises:
        KeyboardInterrupt: The run was interrupted.
    """
    result = run(target, load)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def details(found: Rates) -> dict[str, dict[str, float]]:
    """Returns the median by target and number of clients, for the JSON."""
    return {
        name: {f"{count} clients": round(median(values), 1) for count, values in by.items()}
        for name, by in found.items()
    }
