"""`keraspipe tune`: searches a recipe's hyperparameters and architecture, shows each trial, and runs the best."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.commands import _common, _front
from pipeline.commands import run as command_run
from pipeline.commands._common import add_json
from pipeline.commands._trials import equivalent_command, format_changes, format_reason
from pipeline.console import say
from pipeline.errors import UsageError
from pipeline.runs import run
from pipeline.store import layout

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.runs.run import RunResult
    from pipeline.settings import Settings
    from pipeline.tuning.plan import Search, SearchResult
    from pipeline.tuning.trial import Trial


WAITING_MESSAGE = "The same search is in progress in another process; waiting for it."
DEFAULT_TRIALS = 20
DEFAULT_OBJECTIVE = "val_loss"
MAX_SHOWN = 5


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a recipe")
    parser.add_argument(
        "--trials",
        type=int,
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
        metavar="METRIC",
        help=f"metric of the eval split to optimize, such as val_accuracy (default: {DEFAULT_OBJECTIVE})",
    )
    parser.add_argument(
        "--objectives",
        metavar="NAME,NAME",
        help="several at once, by NSGA-II: metrics such as accuracy, and latency_ms, size_mb, parameters, flops;"
        " shows the Pareto front",
    )
    parser.add_argument(
        "--pick", type=int, metavar="N", help="with --objectives: train and publish trial N of the front"
    )
    parser.add_argument("--quick", action="store_true", help="run on a small sample for few epochs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the search and of each training (default: 1)")
    parser.add_argument("--no-run", dest="run", action="store_false", help="do not run the best trial afterwards")
    parser.set_defaults(until=run.STEPS[-1], cache=True, alias="champion")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Searches, prints the best trials, and trains the best or the picked one in an ordinary run with its gate."""
    plan = _make_search(options, settings)
    layout.prepare(settings.workspace)
    _common.repair(settings)
    from pipeline.tuning import plan as tuning_plan
    from pipeline.tuning import search

    outcome = search.search(
        plan,
        lambda trial, ranking: say(_format_progress(trial, ranking, plan), error=True),
        lambda: say(WAITING_MESSAGE, error=True),
    )
    if not options.json:
        say("\n".join(_format_outcome(outcome, plan)))
    chosen = tuning_plan.picked_trial(plan, outcome) if options.run else None
    result = _run_trial(plan, outcome, chosen) if chosen else None
    if options.json:
        say(json.dumps(_to_dict(plan, outcome, result)))
    elif result:
        say("\n".join(command_run.format_summary(result, plan.request)))
    return command_run.NOT_BLESSED if result and result.blessed is False else 0


def _format_progress(trial: Trial, ranking: list[Trial], plan: Search) -> str:
    if plan.has_front:
        return _front.format_trial(trial, ranking, plan)
    return format_trial(trial, ranking[0] if ranking else None, plan)


def _format_outcome(outcome: SearchResult, plan: Search) -> list[str]:
    return _front.format_front(outcome, plan) if plan.has_front else format_summary(outcome, plan)


def _make_search(options: Namespace, settings: Settings) -> Search:
    from pipeline.tuning import objectives, space
    from pipeline.tuning.plan import Search

    _check_options(options)
    improved = (
        (objectives.single_objective(options.objective or DEFAULT_OBJECTIVE),)
        if options.objectives is None
        else objectives.parse_objectives(options.objectives)
    )
    request = command_run.make_request(options, settings)
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    fixed = {assignment.partition("=")[0] for assignment in options.set}
    trials = options.trials or (0 if options.pick is not None else DEFAULT_TRIALS)
    return Search(
        request, space.build_space(request.source, request.params, only, fixed), improved, trials, options.pick
    )


def _check_options(options: Namespace) -> None:
    """Raises a UsageError for options that contradict each other."""
    if options.trials is not None and options.trials < 1:
        raise UsageError(
            "--trials is too small.",
            expected="--trials of at least 1",
            received=options.trials,
            action="correct --trials",
        )
    both = options.objective is not None and options.objectives is not None
    if both or (options.pick is not None and (options.objectives is None or not options.run)):
        raise UsageError(
            "The options contradict each other.",
            expected="either --objective METRIC, or --objectives NAME,NAME and then --pick N without --no-run",
            received=" ".join(
                f"--{name} {value}"
                for name, value in vars(options).items()
                if name in {"objective", "objectives", "pick"} and value is not None
            )
            + ("" if options.run else " --no-run"),
            action="correct the options",
        )


def _run_trial(plan: Search, outcome: SearchResult, trial: Trial) -> RunResult:
    from pipeline.runner import execution
    from pipeline.tuning import plan as tuning_plan

    return execution.execute_request(
        tuning_plan.final_request(plan, outcome, trial),
        lambda: say(command_run.WAITING_MESSAGE, error=True),
    )


def _to_dict(plan: Search, outcome: SearchResult, result: RunResult | None) -> dict[str, Any]:
    facts = {
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
    return _front.front_to_dict(facts, outcome, plan) if plan.has_front else facts


def format_trial(trial: Trial, best: Trial | None, plan: Search) -> str:
    """One trial: number, state, objective, the best so far, time, and what differs from the recipe."""
    value = "-" if trial.value is None else f"{trial.value:.4g}"
    so_far = f"best {best.value:.4g} (trial {best.number})" if best else "no best yet"
    numbers = f"{plan.objective} {value:<9}  {so_far:<25}  {trial.epochs:>3} epochs {trial.seconds:>6.1f} s"
    words = format_reason(trial) or format_changes(trial, plan)
    return f"trial {trial.number:<3} {trial.state:<8}  {numbers}  {words}".rstrip()


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
