"""One gRPC call at a time, with bytes that were encoded once.

gRPC's own client costs more than a small server's work: on a machine that both share, it would be what is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.loadtest.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.loadtest.target import Target


class RpcConnection:
    """One of the calls under way.

    Args:
        channel: Shared with other calls.
        done: Called with this connection and the error, empty for none, when a call has ended.

    Attributes:
        due: When the call under way was due; the generator's.
        received: Bytes of the answers.
        message: What the server said about its last error.
    """

    def __init__(self, channel: Channel, done: Callable[[RpcConnection, str], None]) -> None:
        self._channel = channel
        self._done = done
        self.due = 0.0
        self.received = 0
        self.message = ""

    async def open(self) -> None:
        """Connect the channel.

        Raises:
            OSError: Nobody listens.
        """
        await self._channel.open()

    def ask(self) -> None:
        """Send the request."""
        self._channel.send(self)

    def expire(self, now: float) -> None:
        """Nothing to do: the channel keeps the time itself."""

    def close(self) -> None:
        """Give up the call under way, and all others of the channel."""
        self._channel.close()

    def ended(self, error: str, message: str, received: int) -> None:
        """The call is over; the channel says so."""
        if error:
            self.message = message
        else:
            self.received += received
        self._done(self, error)


def connections(
    target: Target, calls: int, channels: int, done: Callable[[RpcConnection, str], None]
) -> list[RpcConnection]:
    """As many calls as may be under way, over as many connections to the server."""
    shared = [Channel(target) for _ in range(min(channels, calls))]
    return [RpcConnection(shared[i % len(shared)], done) for i in range(calls)]
