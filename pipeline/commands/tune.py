"""`keraspipe tune`: searches a recipe's hyperparameters and architecture, and runs the best.

The search as it is read on a terminal: a line per trial, and what it has found.
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from pipeline.commands import _common
from pipeline.commands import run as command_run
from pipeline.commands._common import add_json
from pipeline.errors import UsageError
from pipeline.recipes import hyperparameters
from pipeline.runs import run
from pipeline.store import layout

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from pipeline.runs.run import RunResult
    from pipeline.settings import Settings
    from pipeline.tuning.search import Found, Search
    from pipeline.tuning.study import Trial


WAITING = "The same search is going on in another process; waiting for it."
TRIALS = 20
SHOWN = 5
LONGEST_REASON = 160
SHORTENED = {"epochs", "fine_tune_epochs"}  # by --quick


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--trials",
        type=int,
        default=TRIALS,
        metavar="N",
        help=f"how many in all, with those of the same search before (default: {TRIALS})",
    )
    parser.add_argument("--only", default="", metavar="KEY,KEY", help="search these (default: all that have a range)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter that stays; may be repeated"
    )
    parser.add_argument(
        "--objective",
        default="val_loss",
        metavar="METRIC",
        help="of the eval split, as the curves name it, such as val_accuracy (default: val_loss)",
    )
    parser.add_argument("--quick", action="store_true", help="a small sample and few epochs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the search and of each training (default: 1)")
    parser.add_argument("--no-run", dest="run", action="store_false", help="do not run the best trial afterwards")
    parser.set_defaults(until=run.STEPS[-1], cache=True, alias="champion")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Searches, shows what was found, and has it trained and judged by an ordinary run."""
    asked = _asked(options, settings)
    layout.prepare(settings.workspace)
    _common.repaired(settings)
    from pipeline.tuning import search

    found = search.search(
        asked,
        lambda trial, best: print(line(trial, best, asked), file=sys.stderr, flush=True),
        lambda: print(WAITING, file=sys.stderr, flush=True),
    )
    if not options.json:
        print("\n".join(summary(found, asked)), flush=True)
    result = _run(asked, found) if options.run else None
    if options.json:
        print(json.dumps(_described(asked, found, result)))
    elif result:
        print("\n".join(command_run.summary(result, asked.request)))
    return command_run.NOT_BLESSED if result and result.blessed is False else 0


def _asked(options: Namespace, settings: Settings) -> Search:
    from pipeline.tuning import space
    from pipeline.tuning.search import Search

    if options.trials < 1:
        raise UsageError("There is nothing to search.", expected="--trials of at least 1", received=options.trials)
    if not options.objective.startswith("val_"):
        raise UsageError(
            "The objective is measured on rows that were not trained on.",
            expected="a metric of the eval split, val_…, such as val_loss",
            received=options.objective,
        )
    request = command_run.requested(options, settings)
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    fixed = {assignment.partition("=")[0] for assignment in options.set}
    return Search(request, space.space(request.source, request.params, only, fixed), options.objective, options.trials)


def _run(asked: Search, found: Found) -> RunResult:
    from pipeline.runner import execution
    from pipeline.tuning import search

    return execution.execute_request(
        search.final(asked, found), lambda: print(command_run.WAITING, file=sys.stderr, flush=True)
    )


def _described(asked: Search, found: Found, result: RunResult | None) -> dict[str, Any]:

    return {
        "run_id": found.run_id,
        "recipe": asked.request.name,
        "objective": asked.objective,
        "space": asked.space.described(),
        "trials": [trial.as_json() for trial in found.trials],
        "best": found.best.as_json(),
        "importances": found.importances,
        "command": run_command(found.best, asked),
        "run": result.as_json() if result else None,
    }


def line(trial: Trial, best: Trial | None, asked: Search) -> str:
    """One trial: number, state, objective, the best so far, time, and what differs from the recipe."""
    value = "-" if trial.value is None else f"{trial.value:.4g}"
    so_far = f"best {best.value:.4g} (trial {best.number})" if best else "no best yet"
    numbers = f"{asked.objective} {value:<9}  {so_far:<25}  {trial.epochs:>3} epochs {trial.seconds:>6.1f} s"
    words = " ".join(trial.reason.split())[:LONGEST_REASON] or changes(trial, asked)
    return f"trial {trial.number:<3} {trial.state:<8}  {numbers}  {words}".rstrip()


def changes(trial: Trial, asked: Search) -> str:
    """What a trial has otherwise than the recipe."""
    return _assignments(asked.space.changed(trial.params)) or "the recipe as it is"


def _assignments(values: Mapping[str, Any]) -> str:
    return " ".join(shlex.quote(hyperparameters.format_assignment(name, value)) for name, value in values.items())


def summary(found: Found, asked: Search) -> list[str]:
    """The best trials, what matters, and the command that repeats the best one."""
    states = [trial.state for trial in found.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    rows = [
        f"  {trial.number:>5}  {trial.value:<10.4g}  {trial.epochs:>6}  {changes(trial, asked)}"
        for trial in found.ranking[:SHOWN]
    ]
    lines = [
        f"{asked.request.name}: {len(found.trials)} trials, {counts} ({found.run_id})",
        f"  trial  {asked.objective:<10}  epochs  changed",
        *rows,
    ]
    if found.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in list(found.importances.items())[:SHOWN])
        lines.append(f"Matters most: {shares}")
    return [*lines, f"Best: {run_command(found.best, asked)}"]


def run_command(best: Trial, asked: Search) -> str:
    """The `keraspipe run` of a trial."""
    request = asked.request
    usual = {name: field.default for name, field in hyperparameters.fields(request.source).items()}
    if request.quick:
        usual |= {name: min(usual[name], run.quick_epochs(request.source)) for name in SHORTENED & usual.keys()}
    differing = {name: value for name, value in best.params.items() if value != usual[name]}
    sets = [f"--set {shlex.quote(hyperparameters.format_assignment(name, value))}" for name, value in differing.items()]
    seed = [f"--seed {request.seed}"] if request.seed != 1 else []
    return " ".join(["keraspipe run", request.name, *["--quick"] * request.quick, *seed, *sets])
