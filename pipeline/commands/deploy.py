"""`keraspipe deploy check`: what is wrong with this machine as a host of the docker compose stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands._common import add_json
from pipeline.deployment import checks, doctor
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("action", choices=("check",), help="check engine, GPU runtime, disk, .env, secrets and ports")
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="PROFILE",
        help="check what this profile needs, too; may be repeated",
    )
    parser.add_argument("--env", type=Path, default=ROOT / ".env", metavar="FILE", help="default: the checkout's .env")
    add_json(parser)


def command(options: Namespace, _settings: Settings) -> int:
    """Prints the findings; 1 if the stack would not work, else 0."""
    return doctor.report(checks.examine(ROOT, options.env.absolute(), options.profile), as_json=options.json)
