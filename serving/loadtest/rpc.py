"""One call at a time on a gRPC channel, with bytes that were encoded once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.loadtest.target import Target

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # or all channels would share one connection
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


class RpcConnection:
    """One of the calls under way.

    Args:
        channel: Shared with other calls.
        target: What is sent.
        done: Called with this connection and the error, empty for none, when a call has ended.

    Attributes:
        due: When the call under way was due; the generator's.
        received: Bytes of the answers.
    """

    def __init__(self, channel: grpc.aio.Channel, target: Target, done: Callable[[RpcConnection, str], None]) -> None:
        self._channel = channel
        self._target = target
        self._call = channel.unary_unary(target.path)  # no serializers: bytes in, bytes out
        self._metadata = (("authorization", f"Bearer {target.token}"),) if target.token else ()
        self._done = done
        self._task: asyncio.Task[None] | None = None
        self.due = 0.0
        self.received = 0

    async def open(self) -> None:
        """Connect the channel.

        Raises:
            OSError: Nobody listens.
        """
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._target.timeout_s)
        except TimeoutError as error:
            raise OSError(f"no gRPC server at {self._target.address}") from error

    def ask(self) -> None:
        """Send the request."""
        self._task = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        error = ""
        try:
            answer = await self._call(self._target.body, timeout=self._target.timeout_s, metadata=self._metadata)
            self.received += len(answer)
        except grpc.aio.AioRpcError as failure:
            error = failure.code().name
        self._task = None
        self._done(self, error)

    def expire(self, now: float) -> None:
        """Nothing to do: gRPC keeps the time itself."""

    def close(self) -> None:
        """Give up the call under way."""
        if self._task:
            self._task.cancel()


def channels(target: Target, count: int) -> list[grpc.aio.Channel]:
    """Channels with a connection each."""
    return [grpc.aio.insecure_channel(target.address, options=OPTIONS) for _ in range(count)]
