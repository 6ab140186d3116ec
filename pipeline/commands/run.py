"""`keraspipe run`: the whole pipeline from data to a published model, or its recorded result when nothing changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.baseline import words
from pipeline.commands import _common
from pipeline.commands._common import add_json
from pipeline.console import format_number, say
from pipeline.export import columns
from pipeline.recipes import catalog, hyperparameters
from pipeline.runner import execution
from pipeline.runs import run
from pipeline.store import layout

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from pipeline.runs.run import RunRequest, RunResult
    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace

NOT_BLESSED = 3
WAITING_MESSAGE = "The same run is in progress in another process; waiting for its result."


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a recipe")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter; may be repeated"
    )
    steps = ", ".join(run.STEPS)
    parser.add_argument(
        "--until", choices=run.STEPS, default=run.STEPS[-1], metavar="STEP", help=f"stop after: {steps}"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the training (default: 1)")
    parser.add_argument("--no-cache", dest="cache", action="store_false", help="use no results of earlier runs")
    _common.add_publication(parser)
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Runs a recipe and prints the result."""
    request = make_request(options, settings)
    chosen = {text.partition("=")[0] for text in options.set} - {"epochs"}  # often shortened for a try
    for note in hyperparameters.outside_range(request.source, {name: request.params[name] for name in chosen}):
        say(f"Note: {note}", error=True)
    layout.prepare(settings.workspace)
    _common.repair(settings)
    result = run.find_result(request)
    if result is None:
        result = execution.execute_request(request, lambda: say(WAITING_MESSAGE, error=True))
    else:
        say(f"Nothing changed since run {result.run_id}; this is its result.", error=True)
        execution.replay_journals(settings)
    say(json.dumps(result.as_json()) if options.json else "\n".join(format_summary(result, request)))
    return NOT_BLESSED if result.blessed is False else 0


def make_request(options: Namespace, settings: Settings) -> RunRequest:
    """Returns the request from the command line."""
    from pipeline.distributed import cluster
    from pipeline.training import devices

    devices.check_names(settings.distribution, settings.mixed_precision)
    cluster.check(settings)
    source = catalog.find_recipe(options.name, settings)
    values = hyperparameters.resolve(source, options.set)
    if options.quick:
        chosen = {text.partition("=")[0] for text in options.set}
        for name in {"epochs", "fine_tune_epochs"} & values.keys() - chosen:
            values[name] = min(values[name], run.quick_epochs(source))
    return run.RunRequest(
        source=source,
        settings=settings,
        params=values,
        quick=options.quick,
        seed=options.seed,
        until=options.until,
        cache=options.cache,
        alias="quick" if options.quick else options.alias,
    )


def _refusal_title(result: RunResult) -> str:
    if result.model_version:  # the live model itself, on data or by a gate that changed
        return f"The champion, version {result.model_version}, does not pass the gate any more; it stays live:"
    return "Not blessed, nothing was published:"


def _published_lines(result: RunResult, request: RunRequest) -> list[str]:
    version = f"{request.name}@{result.model_version}"
    roles = {"challenger": " as challenger", "quick": ", which is not served,"}
    steps = {
        "champion": f"{_forecast_step(result, request.name)}keraspipe serve, keraspipe dashboard {request.name}",
        "challenger": f"keraspipe promote {request.name}, keraspipe dashboard {request.name}",
        "quick": f"keraspipe predict {version} …; for a model to serve: keraspipe run {request.name}",
    }
    return [
        f"Published: version {result.model_version}{roles.get(request.alias, '')} in {result.model_path}",
        f"Next: {steps[request.alias]}",
    ]


def _forecast_step(result: RunResult, name: str) -> str:
    if not (Path(result.model_path or "") / columns.FORECAST_FILE).exists():
        return ""
    return f"keraspipe predict {name} --file SERIES.csv --out FORECAST.csv, "


def _left_out_line(left_out: Mapping[str, Any], workspace: Workspace) -> str:
    path = workspace.inside(left_out["report"])
    listed = f" All of them: {path}" if path.exists() else ""
    return f"Left out: {left_out['rows']:,} of {left_out['of']:,} rows cannot be used: {left_out['kinds']}.{listed}"


def format_summary(result: RunResult, request: RunRequest) -> list[str]:
    """Formats the result for the terminal."""
    numbers = "  ".join(f"{name} {format_number(value)}" for name, value in result.metrics.items())
    sample = ", quick: a small sample and few epochs" if request.quick else ""
    lines = [f"{request.name}{sample}: {numbers or f'done up to {request.until}'}"]
    if result.baselines.get("words"):
        lines.append(f"Baseline: {result.baselines['words']}")
    if result.diagnosis:
        lines.append(f"Training: {result.diagnosis}")
    if result.left_out:
        lines.append(_left_out_line(result.left_out, request.settings.workspace))
    lines += [f"Warning: {words}" for words in result.coarse]
    if result.drift:
        lines += ["Warning: the data have drifted from the champion's:", *(f"  - {line}" for line in result.drift)]
    if result.blessed is False:
        lines += [_refusal_title(result), *(f"  - {reason}" for reason in result.reasons)]
    if result.blessed and result.model_path:
        lines += _published_lines(result, request)
    if result.late_error:
        lines.append(f"Warning: after the model was published, something failed: {result.late_error}")
    if result.not_recorded:
        lines += f"Not recorded in MLflow: {result.not_recorded}".splitlines()
    behind = words.describe_behind(
        result.baselines, result.metrics, request.name, result.diagnosis, quick=request.quick
    )
    return [*lines, behind] if behind else lines
