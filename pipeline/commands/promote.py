"""`keraspipe promote`: makes a version the champion, the live one that servers answer with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.commands import _common
from pipeline.commands._common import add_json
from pipeline.registry import promotion

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "version",
        metavar="NAME[@VERSION]",
        help="the version; NAME alone is the challenger, the version served next to the live one",
    )
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Changes the record, what servers read, and, in a separate process, MLflow's alias."""
    return _common.report_change(promotion.promote(settings.workspace, options.version), settings, as_json=options.json)
