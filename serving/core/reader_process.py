"""A process that reads large requests, so that no thread of the server holds the interpreter while it does.

Parsers are written in C and hold Python's lock until they are done: a few megabytes of JSON or of Examples would stop
the event loop, and all other requests with it, for a tenth of a second and more. Here they are read beside it, one at a
time and at a low priority: they cost others no more than a busy neighbour does. The process starts with the first such
request and ends with its server. Work that nobody waits for any more ends with the process, and a new one starts.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import pickle
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import Code, DeadlineExceeded, ServingError, Unavailable
from serving.wire.deadline import LATE_TEXT
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.wire.strings import Tensor

_ROOT = Path(__file__).resolve().parent.parent.parent
_NICENESS = 10  # its priority: a server with a processor to spare reads as fast, a busy one answers the others first
_MEMORY = 2**32  # bytes
_OWN_MEMORY = 2**28  # of the modules that it imports with the first request
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # numpy's threads would only take memory
_COUNT = struct.Struct("<Q")


class ReaderProcess:
    """Calls functions in another process, one at a time.

    Args:
        memory: Bytes that it may have for a request.

    Attributes:
        thread: For those who wait for their turn and their answer.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._closed = False

    def call(self, function: Callable[..., Any], *arguments: Any, deadline: float = math.inf) -> Any:
        """Returns what a function of a module gives for arguments that can be pickled.

        Args:
            function: Any but a lambda or an inner function.
            arguments: Of bytes only the outermost are passed without a copy.
            deadline: When the caller stops waiting, by `time.monotonic`.

        Raises:
            DeadlineExceeded: It has passed; the process is ended.
            ServingError: What the function raised, or that the process died.
        """
        with self._turn:
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(LATE_TEXT)
            try:
                line = self._line or self._start()
                line.settimeout(None if left == math.inf else left)
                _send(line, (function, [_outside(argument) for argument in arguments]))
                outcome = _receive(line)
            except TimeoutError as error:
                self._end()
                raise DeadlineExceeded(LATE_TEXT) from error
            except (OSError, EOFError) as error:
                self._end()
                if self._closed:
                    raise Unavailable("The server is going away") from error
                raise ServingError("The process that reads large requests has died", Code.INTERNAL) from error
        if isinstance(outcome, _Failure):
            raise ServingError(outcome.message, outcome.code)
        return outcome

    def _start(self) -> socket.socket:
        if self._closed:
            raise EOFError
        mine, theirs = socket.socketpair()
        paths = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-P", "-c", f"from {__name__} import main; main({theirs.fileno()}, {self._memory})"]
        environment = os.environ | _ENVIRONMENT | {"PYTHONPATH": paths}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - nothing in it comes from a client
                command,
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        self._line = mine
        return mine

    def _end(self) -> None:
        if self._line:
            self._line.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None

    def close(self) -> None:
        """Ends the process, and what is being read."""
        self._closed = True
        self.thread.shutdown(wait=False, cancel_futures=True)
        if self._process:
            with contextlib.suppress(OSError, AttributeError):  # it has just ended
                self._process.kill()
        with self._turn:
            self._end()


def pack_strings(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays by name, with their strings as `Strings`, which pass between processes as they are."""
    return {name: Strings.join(array) if array.dtype == object else array for name, array in arrays.items()}


@dataclass(frozen=True)
class _Failure:
    message: str
    code: Code


def _outside(value: Any) -> Any:
    """Bytes that are sent as they are, not as a part of a pickle."""
    return pickle.PickleBuffer(value) if isinstance(value, (bytes, bytearray)) else value


def _send(line: socket.socket, message: Any) -> None:
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    line.sendall(b"".join(_COUNT.pack(number) for number in [len(parts), *map(len, parts)]))
    for part in parts:
        line.sendall(part)


def _receive(line: socket.socket) -> Any:
    count = _COUNT.unpack(_receive_bytes(line, _COUNT.size))[0]
    sizes = [_COUNT.unpack(_receive_bytes(line, _COUNT.size))[0] for _ in range(count)]
    head, *buffers = [_receive_bytes(line, size) for size in sizes]
    return pickle.loads(head, buffers=buffers)  # noqa: S301 - of our own process


def _receive_bytes(line: socket.socket, size: int) -> memoryview:
    """Receives without holding Python's lock: the memory is not even cleared."""
    view, at = np.empty(size, np.uint8).data, 0
    while at < size:
        read = line.recv_into(view[at:])
        if not read:
            raise EOFError
        at += read
    return view


def _serve(line: socket.socket) -> None:
    while True:
        function, arguments = _receive(line)
        try:
            outcome = function(*(bytes(each) if isinstance(each, memoryview) else each for each in arguments))
        except ServingError as error:
            outcome = _Failure(error.message, error.code)
        except MemoryError:
            outcome = _Failure("The request needs more memory than there is", Code.RESOURCE_EXHAUSTED)
        del function, arguments
        _send(line, outcome)
        del outcome
        gc.collect()
        gc.freeze()  # the modules that it has imported: the next search need not look at them


def main(number: int, memory: int) -> None:
    """Answers calls on a socket, given by its descriptor, until the server is gone.

    Args:
        number: The descriptor.
        memory: Bytes that a request may take.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server answers what is in flight, and then closes the line
    os.nice(_NICENESS)
    _limit_memory(memory)
    gc.disable()  # a search for cycles would look through a million values time and again: it comes after each call
    with contextlib.suppress(EOFError, OSError), socket.socket(fileno=number) as line:
        _serve(line)


def _limit_memory(size: int) -> None:
    """Lets a request take so many bytes beside what is there already; only Linux counts them."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        limit = pages * resource.getpagesize() + _OWN_MEMORY + size
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
