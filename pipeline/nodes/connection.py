"""The connection of the pipeline with a node: lines of JSON, and a loss that shows."""

from __future__ import annotations

import socket

PORT = 2222
# A machine that vanishes closes nothing: after these seconds of silence it is asked, and so often in vain at most.
IDLE_S, INTERVAL_S, PROBES = 10, 5, 4


def keep_alive(connection: socket.socket) -> None:
    """Has the connection end by itself within half a minute when the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, IDLE_S),
        (socket.TCP_KEEPINTVL, INTERVAL_S),
        (socket.TCP_KEEPCNT, PROBES),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
