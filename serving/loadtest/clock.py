"""A timer that is right to a tenth of a millisecond.

Timers of event loops count whole milliseconds (libuv, epoll): at 5,000 requests a second five would leave at
once. Linux' timerfd counts nanoseconds and is a file that a loop can watch.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_CLOCK_MONOTONIC = 1  # the clock of time.monotonic
_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("at", _Timespec))


class Timer:
    """Calls a function at a time of `time.monotonic`; the loop's own timer where there is no timerfd.

    Args:
        loop: The loop that waits.
        call: What is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._handle: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
        create = getattr(self._libc, "timerfd_create", None)
        self._file = create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC) if create else -1
        if self._file >= 0:
            loop.add_reader(self._file, self._ring)

    def set(self, at: float) -> None:
        """Ring at a time, and no longer at an earlier set one; a time that is over rings at once."""
        if self._file < 0:
            self.clear()
            self._handle = self._loop.call_later(max(at - time.monotonic(), 0), self._call)
            return
        assert self._libc is not None
        seconds = int(at)
        setting = _Setting(_Timespec(0, 0), _Timespec(seconds, int((at - seconds) * 1e9)))
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(setting), None)

    def clear(self) -> None:
        """Do not ring."""
        if self._handle:
            self._handle.cancel()

    def close(self) -> None:
        """Give the file back."""
        self.clear()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _ring(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # set anew between the ring and this call
            return
        self._call()
