"""`keraspipe lineage`: where a published version comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.commands._common import add_json
from pipeline.runs import lineage, versions

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "version",
        metavar="NAME[@VERSION]",
        help="a published version; NAME alone is the champion, the version that is live",
    )
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Prints the path of a version from its data to where it is served."""
    report = lineage.trace_version(settings.workspace, versions.find_version(settings.workspace, options.version))
    print(json.dumps(report) if options.json else "\n".join(lineage.describe(report, settings.workspace)))
    return 0
