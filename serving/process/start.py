"""Starts a server from a command line: one process, or a supervisor of several; neither is imported before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.options import ServeOptions
    from serving.process.server import Endpoints


def start_server(options: ServeOptions, ready: Callable[[Endpoints], None]) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code.

    Args:
        options: What to serve and where.
        ready: Called once the ports answer.

    Raises:
        ServingError: The server cannot start.
    """
    if options.workers > 1:
        from serving.process.supervisor import serve_with_workers

        return int(serve_with_workers(options, ready))
    from serving.process.server import serve

    return serve(options, ready)
