"""The server's sockets: bound before anything slow begins, so that a port that is taken is reported at once."""

from __future__ import annotations

import errno
import resource
import socket

from serving.errors import PortTaken, ServingError

_MOST_FILES = 2**20


def bind(host: str, port: int, what: str, option: str, *, shared: bool = False) -> socket.socket:
    """A socket that holds a port without listening yet: clients are refused, other servers too.

    Args:
        host: Address to listen at.
        port: Its port; 0 for any free one.
        what: What listens, for the error.
        option: The flag that sets the port, for the error.
        shared: Whether other processes of this server have the port too (SO_REUSEPORT).

    Raises:
        PortTaken: Another process has it.
        ServingError: The address does not exist here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, port))
    except OSError as error:
        kind = PortTaken if getattr(error, "errno", None) == errno.EADDRINUSE else ServingError
        raise kind(cannot_listen(f"{host}:{port}", what, option, error)) from error
    return holder


def raise_file_limit() -> int:
    """Lets this process open as many files as the system allows it, and returns how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a sandbox may forbid it
            return soft
        return wanted
    return _MOST_FILES if soft == resource.RLIM_INFINITY else soft


def cannot_listen(where: str, what: str, option: str, error: Exception) -> str:
    """The text for a port that cannot be had."""
    return (
        f"The {what} server cannot listen at {where}.\n"
        f"Expected: an address of this machine with a free port\n"
        f"Received: {error}\n"
        f"Next: stop the process that has it (`ss -ltnp 'sport = :{where.rpartition(':')[2]}'`), or pass {option} "
        "with another port (0 takes any free one)"
    )


def address(holder: socket.socket) -> str:
    """Host and port of a bound socket, such as `127.0.0.1:8500` or `[::1]:8500`."""
    host, port = holder.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
