"""Server processes: started, waited for, stopped."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.measure import KEPT, MESSAGE_CHARACTERS, ROOT, say
from serving.errors import ServingError
from serving.loadtest import generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serving.loadtest.target import Target

START_S = 120.0
STOP_S = 20.0
LOOK_S = 0.02


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], *, talks: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process in the project's root, with nothing but the usual variables; stopped at the end.

    Args:
        command: Program and arguments.
        talks: Whether it is spoken with through pipes; its output is logged otherwise.
    """
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        except BaseException:
            log.seek(0)
            say(log.read()[-MESSAGE_CHARACTERS:])
            raise
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait(process: subprocess.Popen[str], target: Target) -> float:
    """Wait until the target's request is answered; returns the clock's time then (`time.monotonic`)."""
    end = time.monotonic() + START_S
    while True:
        try:
            generator.check_target(target)
            return time.monotonic()
        except ServingError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{target.address} did not become ready: {error}") from error
        time.sleep(LOOK_S)
