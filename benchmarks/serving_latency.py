"""Tail latency (p99) of an open loop at half of the highest rate of a closed loop, and while a version is swapped.

Latency counts from the time at which a request was due, so a stall shows in every request that was due during it.
"""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING

import requests

from benchmarks.measure import Row, fresh
from benchmarks.serving import models, payloads, servers, turns
from serving.loadtest.target import Load

if TYPE_CHECKING:
    from pathlib import Path

    from serving.loadtest.result import Result
    from serving.loadtest.target import Target

REPEAT = 5
CLIENTS = 16
TAIL = 4.0
SWAP_TAIL = 5.0
HALF = 0.5
CALM = 0.25  # of the highest rate, while a version is swapped: loading a version uses one core
OPEN_S = 3.0
SWAP_AFTER_S = 1.0
SWAPPED_WITHIN_S = 10.0


def measure(repeat: int) -> list[Row]:
    """Measures REST and gRPC at half rate, then the swap over REST."""
    values = payloads.numbers(1)
    with fresh() as folder:
        shutil.copytree(models.folder("mlp"), folder, dirs_exist_ok=True)
        with servers.ours(folder, "mlp", values) as own:
            targets = {"REST": own.rest("mlp", values), "gRPC": own.rpc("mlp", values)}
            tails = [_tail(name, target, repeat) for name, target in targets.items()]
            return tails + _swap(own, targets["REST"], repeat)


def _tail(name: str, target: Target, repeat: int) -> Row:
    found = [_open(target, _highest(target) * HALF) for _ in range(repeat)]
    warnings = " ".join(dict.fromkeys(text for result in found for text in result.warnings()))
    return Row(
        f"{name} mlp, p99 against p50 at half the highest rate",
        "ms",
        [_ms(result, 99) for result in found],
        [_ms(result, 50) for result in found],
        at_most=TAIL,
        note=warnings,
    )


def _swap(own: servers.Ours, target: Target, repeat: int) -> list[Row]:
    rate = _highest(target) * CALM
    pairs = [(_swapped(own, target, rate, version), _open(target, rate)) for version in range(2, 2 + repeat)]
    swapped, calm = [[pair[side] for pair in pairs] for side in (0, 1)]
    failed = [float(result.failures + result.unsent) for result in swapped]
    tails = ([_ms(result, 99) for result in swapped], [_ms(result, 99) for result in calm])
    return [
        Row("failed requests while a version is swapped", "requests", failed, at_most=0),
        Row("REST mlp, p99 while a version is swapped", "ms", *tails, at_most=SWAP_TAIL),
    ]


def _swapped(own: servers.Ours, target: Target, rate: float, version: int) -> Result:
    """Measures a load during which a new version is published, is loaded and replaces the old one."""
    publishing = threading.Timer(SWAP_AFTER_S, _publish, (own.models / target.model, version))
    publishing.start()
    load = Load(rate=rate, duration_s=OPEN_S + SWAP_AFTER_S, warmup_s=turns.WARMUP_S)
    result = turns.uninterrupted(target, load)
    publishing.join()
    end = time.monotonic() + SWAPPED_WITHIN_S
    while _available(own.url, target.model) != [str(version)]:
        if time.monotonic() > end:
            raise RuntimeError(f"Version {version} did not replace the version before")
        time.sleep(0.05)
    return result


def _publish(folder: Path, version: int) -> None:
    temporary = folder / f".tmp-{version}"
    shutil.copytree(folder / "1", temporary)
    temporary.rename(folder / str(version))


def _available(url: str, model: str) -> list[str]:
    states = requests.get(f"{url}/v1/models/{model}", timeout=10).json()["model_version_status"]
    return [one["version"] for one in states if one["state"] == "AVAILABLE"]


def _highest(target: Target) -> float:
    return turns.good(target, turns.closed(CLIENTS)).rate


def _open(target: Target, rate: float) -> Result:
    return turns.good(target, Load(rate=rate, duration_s=OPEN_S, warmup_s=turns.WARMUP_S))


def _ms(result: Result, percent: float) -> float:
    return result.percentile(percent) * 1e3
