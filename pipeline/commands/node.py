"""`keraspipe node`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline.distributed import server
from pipeline.distributed.task import PORT

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s); there is no password, so use a private network",
    )
    parser.add_argument("--port", type=int, default=PORT, help="0 for any free one (default: %(default)s)")


def command(options: Namespace, settings: Settings) -> int:
    """Waits for trainings, and takes part in one after the other."""
    server.serve(settings.workspace.root, options.host, options.port, lambda address: _announce(address, settings))
    return 0


def _announce(address: str, settings: Settings) -> None:
    print(f"Waiting for trainings on {address}, workspace {settings.workspace}", file=sys.stderr, flush=True)
