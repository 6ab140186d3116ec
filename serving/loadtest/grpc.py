"""gRPC calls that carry the same bytes again and again, over grpc.aio.

The request was encoded once and the answer is only counted, so that neither has a serializer. The Python around a call
costs about as much CPU as a small server's work: on a machine that both share, rates are those of the pair.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from serving.client.endpoint import parse_endpoint
from serving.client.transports import open_channel
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.client.endpoint import Endpoint
    from serving.loadtest.target import Target

_PAUSE_S = 0.05  # before a call counts as failed that found no connection
_OPTIONS = (
    ("grpc.primary_user_agent", "keraspipe-loadtest"),
    ("grpc.enable_http_proxy", 0),  # a proxy would be what is measured
    ("grpc.max_reconnect_backoff_ms", 100),  # a server that is back is used at once
)


class GrpcConnection:
    """One of the calls under way; several share a channel, which is one HTTP/2 connection.

    Args:
        channel: Shared with other calls.
        target: What is sent.
        done: Called with this connection and the error, empty for none, when a call has ended.

    Attributes:
        due: When the call under way was due; the generator's.
        received: Bytes of the answers' messages.
    """

    def __init__(self, channel: grpc.aio.Channel, target: Target, done: Callable[[GrpcConnection, str], None]) -> None:
        self._channel = channel
        self._target = target
        self._call = channel.unary_unary(target.path)
        self._metadata = (("authorization", f"Bearer {target.token}"),) if target.token else ()
        self._done = done
        self._task: asyncio.Task[None] | None = None
        self.due = 0.0
        self.received = 0

    async def open(self) -> None:
        """Connect the channel, and try again until the target's time to connect.

        Raises:
            OSError: Nobody listens, or nobody who speaks gRPC.
        """
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._target.connect_timeout_s)
        except TimeoutError as error:
            raise OSError(f"no gRPC server at {self._target.address}") from error

    def ask(self) -> None:
        """Send the request."""
        self._task = asyncio.get_running_loop().create_task(self._send())

    def expire(self, now: float) -> None:
        """Nothing to do: gRPC keeps the deadline itself, and tells it to the server."""

    async def close(self) -> None:
        """Give up the call under way, and all others of the channel."""
        if self._task is not None:
            self._task.cancel()
        await self._channel.close()

    async def _send(self) -> None:
        error = ""
        try:
            answer = await self._call(self._target.body, timeout=self._target.timeout_s, metadata=self._metadata)
            self.received += len(answer)
        except grpc.aio.AioRpcError as failure:
            error = failure.code().name
            if self._is_disconnected(failure.code()):
                await asyncio.sleep(_PAUSE_S)  # or a closed loop would do nothing but fail
        self._done(self, error)

    def _is_disconnected(self, code: grpc.StatusCode) -> bool:
        """Whether the call never reached a server; a server may answer UNAVAILABLE itself."""
        return code is grpc.StatusCode.UNAVAILABLE and self._channel.get_state() is not grpc.ChannelConnectivity.READY


def parse_address(target: Target) -> Endpoint:
    """Where the target's server is, and whether it speaks TLS.

    Raises:
        InvalidArgument: It is no address of a gRPC server, or `ca` does not fit it.
    """
    where = parse_endpoint(target.address, ca=target.ca or None)
    if where.rest:
        raise InvalidArgument(
            "This is no address of a gRPC server.\nExpected: HOST:PORT, grpcs://HOST:PORT or unix:/PATH\n"
            f"Received: {target.address}\nNext: pass an address of the REST API with --url"
        )
    return where


def create_connections(
    target: Target, calls: int, channels: int, done: Callable[[GrpcConnection, str], None]
) -> list[GrpcConnection]:
    """As many calls as may be under way, over as many channels to the server.

    Raises:
        InvalidArgument: See `parse_address`.
    """
    where = parse_address(target)
    shared = [open_channel(grpc.aio, where, _OPTIONS) for _ in range(min(channels, calls))]
    return [GrpcConnection(shared[i % len(shared)], target, done) for i in range(calls)]
