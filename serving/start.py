"""A server started from a command line, as one process or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.options import ServeOptions
    from serving.server import Endpoints


def start(options: ServeOptions, ready: Callable[[Endpoints], None]) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code.

    Args:
        options: What to serve and where.
        ready: Called once the ports answer.

    Raises:
        ServingError: The server cannot start.
    """
    if options.workers > 1:
        from serving.workers import serve_with_workers

        return int(serve_with_workers(options, ready))
    from serving.server import serve

    return serve(options, ready)
