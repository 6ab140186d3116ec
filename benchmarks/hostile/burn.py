"""Takes processor time and does nothing else: how much of a delay is due to the processors alone.

python -m benchmarks.hostile.burn CORES
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TURN_S = 0.02


@contextlib.contextmanager
def burning(cores: float) -> Iterator[None]:
    """Takes so many processor seconds per second while the block runs."""
    count = max(1, math.ceil(cores))
    command = [sys.executable, "-m", "benchmarks.hostile.burn", str(cores / count)]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    """Burns until it is killed."""
    share = float(sys.argv[1])
    spent, began = time.process_time, time.monotonic()
    first = spent()
    while True:
        turn = time.monotonic()
        while time.monotonic() < turn + _TURN_S and spent() - first < share * (time.monotonic() - began):
            pass
        time.sleep(_TURN_S * (1 - share) + 1e-3)


if __name__ == "__main__":
    main()
