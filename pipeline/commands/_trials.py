"""The trials of a search in words: what differs from the recipe, why one failed, the command that repeats one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from pipeline.recipes import hyperparameters
from pipeline.runs import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tuning.plan import Search
    from pipeline.tuning.trial import Trial

MAX_REASON_LENGTH = 160
SHORTENED_BY_QUICK = {"epochs", "fine_tune_epochs"}  # the hyperparameters that --quick shortens


def format_reason(trial: Trial) -> str:
    """Formats on one line why a trial failed; empty if it did not."""
    return " ".join(trial.reason.split())[:MAX_REASON_LENGTH]


def format_changes(trial: Trial, plan: Search) -> str:
    """Formats the differences between a trial and the recipe."""
    return _format_assignments(plan.space.changes(trial.params)) or "the recipe's defaults"


def _format_assignments(values: Mapping[str, Any]) -> str:
    return " ".join(shlex.quote(hyperparameters.format_assignment(name, value)) for name, value in values.items())


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
