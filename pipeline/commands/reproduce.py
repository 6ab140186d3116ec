"""`keraspipe reproduce`: a run once more, and the difference."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import console, subprocesses
from pipeline.commands._common import add_json
from pipeline.runner import execution
from pipeline.runs import record, reproduce
from pipeline.store import layout

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "run", metavar="RUN", help="a run id, NAME@VERSION, or NAME for the champion, the version that is live"
    )
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Repeats the run up to the gate, and prints both runs side by side."""
    run_record = record.find_record(settings.workspace, options.run)
    wanted = reproduce.repeat_request(run_record, settings)
    layout.prepare(settings.workspace)
    subprocesses.configure_tensorflow(deterministic=wanted.settings.deterministic)
    with console.redirect_output(Path(os.devnull)):  # the recipe imports TensorFlow
        reproduce.require_same_data(run_record, wanted)
    result = execution.execute_request(
        wanted,
        lambda: console.say("The same run is in progress in another process; waiting for its result.", error=True),
    )
    difference = reproduce.compare_repetition(run_record, result, settings.workspace)
    console.say(json.dumps(difference) if options.json else "\n".join(reproduce.describe(difference)))
    return 0
