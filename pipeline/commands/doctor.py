"""`keraspipe doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.commands._common import add_json
from pipeline.deployment.doctor import doctor

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Prints what is wrong with this machine."""
    return doctor(settings, as_json=options.json)
