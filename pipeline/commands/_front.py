"""The Pareto front of `keraspipe tune --objectives`: a line for each trial, the table, and the object of --json."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.commands._trials import equivalent_command, format_changes, format_reason
from pipeline.console import align_columns
from pipeline.recipes import hyperparameters
from pipeline.tuning.trial import COMPLETE

if TYPE_CHECKING:
    from pipeline.tuning.objectives import Objective
    from pipeline.tuning.plan import Search, SearchResult
    from pipeline.tuning.trial import Trial

HOW_MEASURED = {
    "latency_ms": "latency_ms: median of single rows through the exported model, preprocessing included, on this "
    "machine; the least of three medians, to two digits",
    "size_mb": "size_mb: files of the SavedModel, millions of bytes, to three digits",
    "parameters": "parameters: all weights of the network, those that are not trained included",
    "flops": "flops: operations of the network for one row, without preprocessing; a multiply-add counts as two",
}


def format_trial(trial: Trial, front: list[Trial], plan: Search) -> str:
    """One trial: number, state, objectives, whether it is on the front, time, and what differs from the recipe."""
    values = "  ".join(f"{each.name} {_format_value(trial, each):<9}" for each in plan.objectives)
    numbers = [point.number for point in front]
    others = f"front of {len(numbers)}" if numbers else "no front yet"
    beaten = f"beaten, {others}" if trial.state == COMPLETE else others
    place = "on the front" if trial.number in numbers else beaten
    words = format_reason(trial) or format_changes(trial, plan)
    times = f"{trial.epochs:>3} epochs {trial.seconds:>6.1f} s"
    return f"trial {trial.number:<3} {trial.state:<8}  {values}  {place:<18}  {times}  {words}".rstrip()


def format_front(outcome: SearchResult, plan: Search) -> list[str]:
    """The points of the front with their values, how these were measured, and how one is published."""
    states = [trial.state for trial in outcome.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    head = ["trial", *(f"{each.name} ({each.direction})" for each in plan.objectives), "", "changed"]
    rows = [
        [
            str(trial.number),
            *(_format_value(trial, each) for each in plan.objectives),
            _name_marks(trial, outcome),
            format_changes(trial, plan),
        ]
        for trial in outcome.ranking
    ]
    return [
        f"{plan.request.name}: {len(outcome.trials)} trials, {counts}, {len(rows)} on the front ({outcome.run_id})",
        *(f"  {line}" for line in align_columns([head, *rows])),
        *(HOW_MEASURED[each.name] for each in plan.objectives if each.name in HOW_MEASURED),
        f"Balanced: trial {outcome.best.number}, nearest to the best of each objective, on the scale of the front",
        f"Picture: {_find_picture(outcome, plan)}",
        *([] if plan.pick is not None else [f"Next: {pick_command(outcome.best, plan)}"]),
    ]


def pick_command(trial: Trial, plan: Search) -> str:
    """Returns the command that trains and publishes a point of this front."""
    objectives = ",".join(_spell(each) for each in plan.objectives)
    name, *options = shlex.split(equivalent_command(replace(trial, params=plan.space.base), plan))[2:]
    words = ["keraspipe", "tune", name, "--objectives", objectives, *options, *_narrow_options(plan)]
    return shlex.join([*words, "--pick", str(trial.number)])


def _spell(objective: Objective) -> str:
    """Returns an objective as --objectives takes it; the direction only where its name does not say it."""
    from pipeline.tuning import objectives

    usual = not objective.metric or objective.maximize is objectives.is_maximized(objective.name)
    return objective.name if usual else f"{objective.name}:{objective.direction}"


def _narrow_options(plan: Search) -> list[str]:
    """Returns --only, where the search does not vary all that it would without."""
    from pipeline.tuning import space

    source, base = plan.request.source, plan.space.base
    usual = {name: field.default for name, field in hyperparameters.fields(source).items()}
    fixed = [name for name, value in base.items() if value != usual[name]]
    names = plan.space.dimensions.keys()
    return [] if space.build_space(source, base, [], fixed).dimensions.keys() == names else ["--only", ",".join(names)]


def front_to_dict(facts: dict[str, Any], outcome: SearchResult, plan: Search) -> dict[str, Any]:
    """Returns the object of --json: that of a search, with the front in place of the best trial."""
    without = {"objective", "best", "importances", "command"}
    return {
        **{name: value for name, value in facts.items() if name not in without},
        "objectives": [
            {"name": each.name, "direction": each.direction, "unit": each.unit, "measured": _describe(each)}
            for each in plan.objectives
        ],
        "front": [
            {**trial.as_json(), "command": equivalent_command(trial, plan), "pick": pick_command(trial, plan)}
            for trial in outcome.ranking
        ],
        "balanced": outcome.best.number,
        "picked": outcome.picked,
        "picture": _find_picture(outcome, plan),
    }


def _describe(objective: Objective) -> str:
    return HOW_MEASURED.get(objective.name, objective.meaning).partition(": ")[2] or objective.meaning


def _format_value(trial: Trial, objective: Objective) -> str:
    value = trial.values.get(objective.name)
    if value is None:
        return "-"
    return f"{value:,.0f}" if objective.is_count else f"{value:.4g}"


def _name_marks(trial: Trial, outcome: SearchResult) -> str:
    marks = {"balanced": outcome.best.number, "picked": outcome.picked}
    return " ".join(name for name, number in marks.items() if number == trial.number)


def _find_picture(outcome: SearchResult, plan: Search) -> str:
    return str(plan.request.settings.workspace.run(outcome.run_id).front_picture)
