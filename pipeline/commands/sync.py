"""`keraspipe sync`: applies aliases that were changed in MLflow by hand, and gives MLflow what it has missed."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import SUPPRESS
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline import errors, subprocesses
from pipeline.commands._common import add_json
from pipeline.errors import PipelineError, UsageError
from pipeline.registry import serving_config
from pipeline.store import champions

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings
    from pipeline.tracking.alias_sync import Reconciliation
    from pipeline.tracking.client import TrackingStore


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a published recipe (default: all)")
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="repeat at this interval until stopped"
    )
    parser.add_argument("--parent", type=int, default=0, help=SUPPRESS)  # `keraspipe serve --sync`, with which it ends
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Syncs once, or periodically with --every; returns 1 if there were problems."""
    names = _recipe_names(options.name, settings)
    serving_config.write_config(settings.workspace)
    subprocesses.use_quiet_mlflow()
    if not options.every > 0:
        return _once(names, settings, as_json=options.json)
    _watch(options, settings)
    return 0


def _recipe_names(name: str | None, settings: Settings) -> list[str]:
    known = champions.recipe_names(settings.workspace)
    if name is None or name in known:
        return [name] if name else known
    raise UsageError(
        f"No model {name!r} is published in {settings.workspace}.",
        expected=f"one of {', '.join(known)}" if known else "a published model",
        received=name,
        action=errors.did_you_mean(name, known) or f"run: keraspipe run {name}",
    )


def _once(names: list[str], settings: Settings, *, as_json: bool) -> int:
    from pipeline.tracking import recorder

    if recorder.pending_runs(settings.workspace):  # versions that MLflow has not seen can have no alias there
        recorder.replay_pending(settings.workspace, settings.mlflow_uri, settings.workspace.replay_log)
    results = _reconcile_all(names, settings)
    if as_json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        print("\n".join(line for result in results for line in format_lines(result)) or "No model is published yet.")
    return int(any(result.problems for result in results))


def _reconcile_all(names: list[str], settings: Settings) -> list[Reconciliation]:
    from pipeline.tracking.alias_sync import reconcile

    destination = _tracking_store(settings)
    return [reconcile(destination, settings.workspace, name) for name in names]


def _tracking_store(settings: Settings) -> TrackingStore:
    from pipeline.tracking.client import TrackingStore

    return TrackingStore(settings.mlflow_uri, settings.workspace)


def format_lines(result: Reconciliation) -> list[str]:
    """Formats the result of a recipe."""
    updates = [f"sent to MLflow: {text}" for text in result.told]
    both = ", ".join(f"{alias} {version}" for alias, version in result.aliases.items())
    messages = [*result.applied, *updates, *result.problems] or [f"{both or 'no version is live'}; MLflow agrees"]
    return [f"{result.name}: {text}" for text in messages]


def _watch(options: Namespace, settings: Settings) -> None:
    """Syncs periodically; prints changes, and each problem once."""
    last = ""
    while not options.parent or os.getppid() == options.parent:
        try:
            results = _reconcile_all(_recipe_names(options.name, settings), settings)
            text = "\n".join(
                line
                for result in results
                if result.applied or result.told or result.problems
                for line in format_lines(result)
            )
        except PipelineError as error:
            text = str(error)
        if text and text != last:
            print(text, file=sys.stderr, flush=True)
        last = text
        time.sleep(options.every)
