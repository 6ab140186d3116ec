"""One process of a server that has several: its life, and what its parent knows about it."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from serving.errors import ServingError, unforeseen
from serving.peers import Peers
from serving.server import serve

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from serving.options import ServeOptions

_REAP_S = 5.0  # for a process that has closed its line already


@dataclasses.dataclass(eq=False)
class Worker:
    """A worker as its parent sees it.

    Attributes:
        process: It.
        line: Messages to and from it.
        number: Which of the workers it is.
        started: When it was started, by `time.monotonic`.
        ready: Whether it answers requests.
    """

    process: BaseProcess
    line: Connection
    number: int
    started: float
    ready: bool = False

    def tell(self, *message: Any) -> None:
        """Send it something."""
        with contextlib.suppress(OSError):  # it has just died, which is noticed by itself
            self.line.send(message)

    def end(self) -> int | None:
        """Reap it, and free what the parent has of it; returns its exit code."""
        self.process.join(_REAP_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.line.close()
        return code


def start(number: int, options: ServeOptions, config: bytes | None) -> Worker:
    """A new worker process.

    Args:
        number: Which of the workers it is.
        options: What it serves.
        config: What the models were set to since the server started, a serialized `ReloadConfigRequest`.
    """
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(options, theirs, config), name=f"worker-{number}")
    process.start()
    theirs.close()
    return Worker(process, mine, number, time.monotonic())


def _work(options: ServeOptions, line: Connection, config: bytes | None) -> None:
    """A worker's life."""
    from serving.logs import log_to_stderr

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; until it serves, only the parent answers it
    log_to_stderr()
    peers = Peers(line, orphaned=lambda: os.kill(os.getpid(), signal.SIGTERM))
    code = 1
    try:
        code = serve(options, lambda endpoints: peers.send("ready", endpoints), peers, config)
    except ServingError as error:
        peers.send("failed", int(error.code), error.message)
    except Exception as error:  # noqa: BLE001 - the parent is told, the log has the traceback
        failure = unforeseen(error, "The worker")
        peers.send("failed", int(failure.code), failure.message)
    finally:
        os._exit(code)  # TensorFlow takes seconds to take itself apart
