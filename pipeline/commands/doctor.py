"""`keraspipe doctor`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline.commands import _common
from pipeline.deployment import doctor, doctor_workspace

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings

REPLAY_TIMEOUT_S = 600.0


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    _common.add_json(parser)
    parser.add_argument("--repair", action="store_true", help="repair the damaged files of the workspace first")


def command(options: Namespace, settings: Settings) -> int:
    """Prints what is wrong with this machine and this workspace."""
    if options.repair:
        repair(settings)
    findings = [*doctor.examine(settings), *doctor_workspace.examine(settings.workspace)]
    return doctor.report(findings, as_json=options.json)


def repair(settings: Settings) -> None:
    """Repairs the files of the workspace, and sends MLflow what it lacks then.

    Raises:
        PipelineError: A process is using the workspace.
    """
    home = settings.workspace
    damages = doctor_workspace.repair_files(home)
    for damage in damages:
        print(f"Repaired: {home.relative(damage.path)} {damage.remedy}", file=sys.stderr, flush=True)
    if any(damage.path == home.mlflow_db for damage in damages):
        _record_again(settings)
    if damages:
        _common.repair(settings)


def _record_again(settings: Settings) -> None:
    from pipeline.tracking import recorder

    home = settings.workspace
    runs = recorder.pending_runs(home)
    print(f"Sending {len(runs)} runs to MLflow …", file=sys.stderr, flush=True)
    outcomes = recorder.replay_pending(home, settings.mlflow_uri, home.replay_log, REPLAY_TIMEOUT_S)
    for run_id, outcome in outcomes.items():
        missing = outcome.describe(settings.mlflow_uri)
        if missing:
            print(f"{run_id} is not recorded in MLflow: {missing}", file=sys.stderr)
