"""`keraspipe rollback`: makes the version that was live before the champion again."""

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
    parser.add_argument("name", metavar="NAME", help="a recipe")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Goes one champion back; a second time, one further."""
    return _common.report_change(promotion.rollback(settings.workspace, options.name), settings, as_json=options.json)
