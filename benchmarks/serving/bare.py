"""The baseline of start time, memory and speed: a process with TensorFlow and one model, without a server.

    python -m benchmarks.serving.bare MODEL_FOLDER [FILE]

Prints a line when the first call is answered. Then each line of seconds on stdin is answered with calls per second of
one thread, with the content of FILE as the one value, or with a row of zeros.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.serving.session import Session


def main() -> None:
    """Answers until stdin ends."""
    session = Session(sys.argv[1])
    content = Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else None  # noqa: PLR2004
    value = np.zeros((1, 16), session.dtype) if content is None else np.array([content], dtype=object)
    session(value)
    print("ready", flush=True)
    for line in sys.stdin:
        print(_rate(session, value, float(line)), flush=True)


def _rate(session: Session, value: np.ndarray, seconds: float) -> float:
    started = time.perf_counter()
    calls = 0
    while (spent := time.perf_counter() - started) < seconds:
        session(value)
        calls += 1
    return calls / spent


if __name__ == "__main__":
    main()
