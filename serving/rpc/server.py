"""The gRPC server's port and socket, from opening to drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio

from serving import security, sockets
from serving.errors import PortTaken

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from serving.options import ServeOptions

_MAX_MESSAGE = 2**31 - 1


class GrpcServer:
    """Takes calls on a port and on a UNIX socket.

    Args:
        options: Limits, TLS, channel arguments.
        handlers: Finds the handler of a path.
        shared: Whether other processes of this server have the port too.
    """

    def __init__(self, options: ServeOptions, handlers: grpc.GenericRpcHandler, *, shared: bool) -> None:
        self._options, self._shared = options, shared
        arguments: dict[str, int | str] = {
            "grpc.max_receive_message_length": options.limits.request_bytes or _MAX_MESSAGE,
            "grpc.max_send_message_length": -1,
            "grpc.so_reuseport": int(shared),  # without it a second server at the port is an error
        }
        self._server = grpc.aio.server(options=tuple((arguments | dict(options.grpc_arguments)).items()))
        self._server.add_generic_rpc_handlers((handlers,))

    async def listen(self, holder: socket.socket | None, path: Path | None) -> None:
        """Take calls on a bound socket's port, and on a UNIX socket.

        Raises:
            PortTaken: grpc cannot have the port.
            InvalidArgument: TLS cannot be set up.
        """
        if holder:
            where = sockets.address(holder)
            if not self._shared:
                holder.close()  # grpc binds for itself; the port was ours until now
            self._add(where)
        if path:
            self._add(f"unix:{path}")
        await self._server.start()

    def _add(self, address: str) -> None:
        credentials = security.grpc_credentials(self._options.security)
        try:
            if credentials:
                self._server.add_secure_port(address, credentials)
            else:
                self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise PortTaken(sockets.cannot_listen(address, "gRPC", "--grpc-port", error)) from error

    async def drain(self, seconds: float) -> None:
        """Answer what is in flight, close the port; after so many seconds end all calls."""
        await self._server.stop(seconds)
