"""`keraspipe card`: what a published version is for, how well it does, where it fails, and how to call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.commands._common import add_json
from pipeline.recipes import catalog
from pipeline.runs import versions

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from pathlib import Path

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "version",
        metavar="NAME[@VERSION]",
        help="a published version; NAME alone is the champion, the version that is live",
    )
    parser.add_argument("--html", action="store_true", help="print the path of the HTML page instead")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Prints the card as Markdown, the path of its page, or what it says as JSON."""
    version = versions.find_version(settings.workspace, options.version)
    if options.json:
        from pipeline.reports.card_content import collect_content

        source = catalog.find_recipe(version.name, settings)
        print(
            json.dumps(
                collect_content(settings.workspace, source, version.require_run_id(settings.workspace)), default=float
            )
        )
        return 0
    markdown = _ensure_card(version, settings)
    print(markdown.with_suffix(".html") if options.html else markdown.read_text(), end="\n" if options.html else "")
    return 0


def _ensure_card(version: versions.Version, settings: Settings) -> Path:
    """Returns the path of the card's Markdown; writes it for versions from before cards."""
    from pipeline.reports import card

    path = settings.workspace.card(version.name, version.number)
    if not path.exists():
        card.write_card(
            settings.workspace, catalog.find_recipe(version.name, settings), version.require_run_id(settings.workspace)
        )
    return path
