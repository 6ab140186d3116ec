"""`keraspipe challenger`: serves a version next to the live one (the champion), as `NAME-challenger`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.commands import _common
from pipeline.commands._common import add_json
from pipeline.errors import UsageError
from pipeline.registry import promotion

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.registry.promotion import AliasChange
    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("version", metavar="NAME@VERSION", help="the version; with --none only NAME")
    parser.add_argument("--none", action="store_true", help="stop serving a challenger")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Sets or removes the challenger."""
    return _common.report_change(_change(options, settings), settings, as_json=options.json)


def _change(options: Namespace, settings: Settings) -> AliasChange:
    name, _, number = options.version.partition("@")
    if options.none:
        return promotion.withdraw(settings.workspace, name)
    if not number:
        raise UsageError(
            "A challenger needs a version.",
            expected="NAME@VERSION, or NAME --none",
            received=options.version,
            action="list the runs with their versions: keraspipe runs",
        )
    return promotion.challenge(settings.workspace, options.version)
