"""`keraspipe tune`: searches a recipe's hyperparameters and architecture, shows each trial, and runs the best."""

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
    from pipeline.tuning.search import Search, SearchResult
    from pipeline.tuning.study import Trial


WAITING_MESSAGE = "The same search is in progress in another process; waiting for it."
DEFAULT_TRIALS = 20
MAX_SHOWN = 5
MAX_REASON_LENGTH = 160
SHORTENED_BY_QUICK = {"epochs", "fine_tune_epochs"}  # the hyperparameters that --quick shortens


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a recipe")
    parser.add_argument(
        "--trials",
        type=int,
        default=DEFAULT_TRIALS,
        metavar="N",
        help=f"total number, including earlier trials of the same search (default: {DEFAULT_TRIALS})",
    )
    parser.add_argument(
        "--only", default="", metavar="KEY,KEY", help="hyperparameters to search (default: all that have a range)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="fix a hyperparameter; may be repeated"
    )
    parser.add_argument(
        "--objective",
        default="val_loss",
        metavar="METRIC",
        help="metric of the eval split to optimize, such as val_accuracy (default: val_loss)",
    )
    parser.add_argument("--quick", action="store_true", help="run on a small sample for few epochs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the search and of each training (default: 1)")
    parser.add_argument("--no-run", dest="run", action="store_false", help="do not run the best trial afterwards")
    parser.set_defaults(until=run.STEPS[-1], cache=True, alias="champion")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Searches, prints the best trials, and trains the best one in an ordinary run with its gate."""
    plan = _make_search(options, settings)
    layout.prepare(settings.workspace)
    _common.repair(settings)
    from pipeline.tuning import search

    outcome = search.search(
        plan,
        lambda trial, best: print(format_trial(trial, best, plan), file=sys.stderr, flush=True),
        lambda: print(WAITING_MESSAGE, file=sys.stderr, flush=True),
    )
    if not options.json:
        print("\n".join(format_summary(outcome, plan)), flush=True)
    result = _run_best(plan, outcome) if options.run else None
    if options.json:
        print(json.dumps(_to_dict(plan, outcome, result)))
    elif result:
        print("\n".join(command_run.format_summary(result, plan.request)))
    return command_run.NOT_BLESSED if result and result.blessed is False else 0


def _make_search(options: Namespace, settings: Settings) -> Search:
    from pipeline.tuning import space
    from pipeline.tuning.search import Search

    if options.trials < 1:
        raise UsageError(
            "--trials is too small.",
            expected="--trials of at least 1",
            received=options.trials,
            action="correct --trials",
        )
    if not options.objective.startswith("val_"):
        raise UsageError(
            "The objective must be a metric of the eval split.",
            expected="a name that begins with val_, such as val_loss",
            received=options.objective,
            action="correct --objective",
        )
    request = command_run.make_request(options, settings)
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    fixed = {assignment.partition("=")[0] for assignment in options.set}
    return Search(
        request, space.build_space(request.source, request.params, only, fixed), options.objective, options.trials
    )


def _run_best(plan: Search, outcome: SearchResult) -> RunResult:
    from pipeline.runner import execution
    from pipeline.tuning import search

    return execution.execute_request(
        search.final_request(plan, outcome), lambda: print(command_run.WAITING_MESSAGE, file=sys.stderr, flush=True)
    )


def _to_dict(plan: Search, outcome: SearchResult, result: RunResult | None) -> dict[str, Any]:

    return {
        "run_id": outcome.run_id,
        "recipe": plan.request.name,
        "objective": plan.objective,
        "space": plan.space.describe(),
        "trials": [trial.as_json() for trial in outcome.trials],
        "best": outcome.best.as_json(),
        "importances": outcome.importances,
        "command": equivalent_command(outcome.best, plan),
        "run": result.as_json() if result else None,
    }


def format_trial(trial: Trial, best: Trial | None, plan: Search) -> str:
    """One trial: number, state, objective, the best so far, time, and what differs from the recipe."""
    value = "-" if trial.value is None else f"{trial.value:.4g}"
    so_far = f"best {best.value:.4g} (trial {best.number})" if best else "no best yet"
    numbers = f"{plan.objective} {value:<9}  {so_far:<25}  {trial.epochs:>3} epochs {trial.seconds:>6.1f} s"
    words = " ".join(trial.reason.split())[:MAX_REASON_LENGTH] or format_changes(trial, plan)
    return f"trial {trial.number:<3} {trial.state:<8}  {numbers}  {words}".rstrip()


def format_changes(trial: Trial, plan: Search) -> str:
    """Formats the differences between a trial and the recipe."""
    return _format_assignments(plan.space.changes(trial.params)) or "the recipe's defaults"


def _format_assignments(values: Mapping[str, Any]) -> str:
    return " ".join(shlex.quote(hyperparameters.format_assignment(name, value)) for name, value in values.items())


def format_summary(outcome: SearchResult, plan: Search) -> list[str]:
    """The best trials, what matters, and the command that repeats the best one."""
    states = [trial.state for trial in outcome.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    rows = [
        f"  {trial.number:>5}  {trial.value:<10.4g}  {trial.epochs:>6}  {format_changes(trial, plan)}"
        for trial in outcome.ranking[:MAX_SHOWN]
    ]
    lines = [
        f"{plan.request.name}: {len(outcome.trials)} trials, {counts} ({outcome.run_id})",
        f"  trial  {plan.objective:<10}  epochs  changed",
        *rows,
    ]
    if outcome.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in list(outcome.importances.items())[:MAX_SHOWN])
        lines.append(f"Most important: {shares}")
    return [*lines, f"Best: {equivalent_command(outcome.best, plan)}"]


def equivalent_command(best: Trial, plan: Search) -> str:
    """Returns the `keraspipe run` command of a trial."""
    request = plan.request
    usual = {name: field.default for name, field in hyperparameters.fields(request.source).items()}
    if request.quick:
        usual |= {
            name: min(usual[name], run.quick_epochs(request.source)) for name in SHORTENED_BY_QUICK & usual.keys()
        }
    differing = {name: value for name, value in best.params.items() if value != usual[name]}
    sets = [f"--set {shlex.quote(hyperparameters.format_assignment(name, value))}" for name, value in differing.items()]
    seed = [f"--seed {request.seed}"] if request.seed != 1 else []
    return " ".join(["keraspipe run", request.name, *["--quick"] * request.quick, *seed, *sets])
