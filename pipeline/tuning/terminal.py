"""The search as it is read on a terminal: a line per trial, and what it has found."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pipeline import params, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pipeline.tuning.search import Found, Search
    from pipeline.tuning.trial import Trial

SHOWN = 5
LONGEST_REASON = 160
SHORTENED = {"epochs", "fine_tune_epochs"}  # by --quick


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
    return " ".join(shlex.quote(params.assignment(name, value)) for name, value in values.items())


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
    return [*lines, f"Best: {command(found.best, asked)}"]


def command(best: Trial, asked: Search) -> str:
    """The `keraspipe run` of a trial."""
    request = asked.request
    usual = {name: field.default for name, field in params.fields(request.source).items()}
    if request.quick:
        usual |= {name: min(usual[name], run.quick_epochs(request.source)) for name in SHORTENED & usual.keys()}
    differing = {name: value for name, value in best.params.items() if value != usual[name]}
    sets = [f"--set {shlex.quote(params.assignment(name, value))}" for name, value in differing.items()]
    seed = [f"--seed {request.seed}"] if request.seed != 1 else []
    return " ".join(["keraspipe run", request.name, *["--quick"] * request.quick, *seed, *sets])
