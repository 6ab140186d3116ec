"""`keraspipe compare`: two runs side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline import account, comparison
from pipeline.commands.options import add_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("first", metavar="A", help="a run id, NAME@VERSION, or NAME for the live version")
    parser.add_argument("second", metavar="B", help="the same")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Prints what two runs have in common and what differs."""
    both = [account.find(settings.workspace, text) for text in (options.first, options.second)]
    found = comparison.compare(*both)
    print(json.dumps(found) if options.json else "\n".join(comparison.text(found)))
    return 0
