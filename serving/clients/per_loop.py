"""What belongs to one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A value made in the running loop, and made anew in the next: sockets do not outlive their loop.

    Args:
        make: Makes the value; called within the loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: tuple[asyncio.AbstractEventLoop, T] | None = None

    def get(self) -> T:
        """The value of the running loop."""
        loop = asyncio.get_running_loop()
        if self._held is None or self._held[0] is not loop:
            self._held = loop, self._make()
        return self._held[1]

    def take(self) -> T | None:
        """The value of the running loop, which is then forgotten; None if there is none."""
        held, self._held = self._held, None
        return held[1] if held and held[0] is asyncio.get_running_loop() else None
