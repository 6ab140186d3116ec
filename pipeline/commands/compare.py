"""`keraspipe compare`: two runs side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.commands._common import add_json
from pipeline.runs import compare, record

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "first", metavar="A", help="a run id, NAME@VERSION, or NAME for the champion, the version that is live"
    )
    parser.add_argument("second", metavar="B", help="the same")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Prints what two runs have in common and what differs."""
    both = [record.find_record(settings.workspace, text) for text in (options.first, options.second)]
    differences = compare.compare_runs(*both)
    print(json.dumps(differences) if options.json else "\n".join(compare.describe(differences)))
    return 0
