"""`keraspipe dashboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.dashboard.server import serve_dashboard

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "target", nargs="?", default="", metavar="NAME|RUN", help="a recipe, NAME@VERSION or a run; default: all"
    )
    parser.add_argument("--port", type=int, default=5000, help="default: %(default)s")


def command(options: Namespace, settings: Settings) -> int:
    """Opens MLflow on the workspace until it is interrupted."""
    return serve_dashboard(settings, options.target, options.port)
