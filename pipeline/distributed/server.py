"""What `keraspipe node` does: waits for connections and starts a process for each training, one at a time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline.distributed.task import keep_alive
from pipeline.errors import PipelineError
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

QUESTION_TIMEOUT_S = 5.0


def serve(workspace: Path, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Waits for trainings until SIGTERM or Ctrl-C, which end the one that goes on too.

    Args:
        workspace: The one that the pipeline uses too.
        host: Address to listen on.
        port: 0 for any free one.
        ready: Called with HOST:PORT.

    Raises:
        PipelineError: The port is taken.
    """
    signal.signal(signal.SIGTERM, _exit)
    training: subprocess.Popen[bytes] | None = None
    with _listen(host, port) as server:
        ready("{}:{}".format(*server.getsockname()[:2]))
        try:
            while True:
                connection, _ = server.accept()
                with connection:
                    if training is None or training.poll() is not None:
                        training = _start_training(workspace, connection)
                    else:
                        connection.sendall(json.dumps({"busy": "another training goes on"}).encode() + b"\n")
        finally:
            if training is not None:
                training.kill()
                training.wait()


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:  # a port beyond 65535
        raise PipelineError(
            f"{host}:{port} cannot be listened on.",
            expected="an address of this machine and a free port",
            received=str(error),
            action="choose others with --host and --port",
        ) from error


def _start_training(workspace: Path, connection: socket.socket) -> subprocess.Popen[bytes] | None:
    """Hands the connection to a process of its own: TensorFlow joins other machines once in a process' life."""
    connection.settimeout(QUESTION_TIMEOUT_S)
    try:
        if not connection.recv(1, socket.MSG_PEEK):
            return None  # a health check
    except OSError:
        return None
    connection.settimeout(None)
    keep_alive(connection)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603  (itself)
        [sys.executable, "-P", "-m", "pipeline.distributed", str(workspace)],
        stdin=connection.fileno(),
        stdout=connection.fileno(),
        # TFT sets legacy Keras on import.
        env={**os.environ, "PYTHONPATH": path, "TF_USE_LEGACY_KERAS": "0"},
    )
