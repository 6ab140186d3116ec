"""What a search is asked for, what it results in, and which of its trials is trained and published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.recipes import fingerprint
from pipeline.runs import run
from pipeline.store import hashing
from pipeline.tuning import pareto, worker
from pipeline.tuning.trial import COMPLETE

if TYPE_CHECKING:
    from pipeline.runs.run import RunRequest
    from pipeline.tuning.objectives import Objective
    from pipeline.tuning.space import Space
    from pipeline.tuning.trial import Trial


@dataclass(frozen=True)
class Search:
    """A request for a search.

    Attributes:
        request: Recipe, settings, and the fixed hyperparameters.
        space: The search space.
        objectives: What to improve: one, or several of which no trial is the best.
        trials: Number of trials, including those of earlier calls; 0 for those that there are.
        pick: Number of the trial that is to be trained and published; None for the best one of one objective.
    """

    request: RunRequest
    space: Space
    objectives: tuple[Objective, ...]
    trials: int
    pick: int | None = None

    @property
    def objective(self) -> str:
        """Name of the objective, or names of several."""
        return ",".join(objective.name for objective in self.objectives)

    @property
    def has_front(self) -> bool:
        """Whether there are several objectives."""
        return len(self.objectives) > 1

    def run_id(self, data_digest: str) -> str:
        """Returns an id that is the same for the same request, data and code, so that a search can be continued."""
        request, settings = self.request, self.request.settings
        question = {
            "recipe": request.name,
            "code": [fingerprint.code_digest(request.source, step) for step in (*worker.PREPARATION_STEPS, "train")],
            "data": data_digest,
            "base": self.space.base,
            "searched": {name: str(dimension) for name, dimension in self.space.dimensions.items()},
            "options": [self._question(), request.seed, request.quick],
            "settings": [settings.distribution, settings.mixed_precision, settings.deterministic],
        }
        return f"tune-{request.name}-{hashing.digest(question)[:8]}"

    def _question(self) -> Any:
        return [f"{each.name}:{each.direction}" for each in self.objectives] if self.has_front else self.objective


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        run_id: Id of its run.
        trials: All trials that were not interrupted, in their order.
        best: The best complete trial; of several objectives the balanced one.
        ranking: The complete trials, the best first; of several objectives the front (`pareto.py`).
        importances: Share of the objective's spread, by hyperparameter.
        picked: Number of the trial that was picked last, by this call or an earlier one; None if none was.
    """

    run_id: str
    trials: list[Trial]
    best: Trial
    ranking: list[Trial]
    importances: dict[str, float]
    picked: int | None = None


def picked_trial(plan: Search, result: SearchResult) -> Trial | None:
    """Returns the trial to train and publish: the best one, or the one that was picked; None if none was.

    Raises:
        UsageError: The picked trial is not on the front.
    """
    if not plan.has_front:
        return result.best
    if plan.pick is None:
        return None
    for trial in result.ranking:
        if trial.number == plan.pick:
            return trial
    raise UsageError(
        f"Trial {plan.pick} is not on the front.",
        expected="--pick with one of " + ", ".join(str(trial.number) for trial in result.ranking),
        received=_describe_trial(plan, result),
        action="correct --pick; the same command without it shows the front",
    )


def _describe_trial(plan: Search, result: SearchResult) -> str:
    """Says what is wrong with the picked trial."""
    for trial in result.trials:
        if trial.number == plan.pick and trial.state == COMPLETE:
            same = [other for other in result.ranking if other.values == trial.values]
            better = same or [other for other in result.ranking if pareto.dominates(other, trial, plan.objectives)]
            how = "gives the same" if same else "is as good in all objectives and better in one"
            return f"{plan.pick}; trial {better[0].number} {how}"
        if trial.number == plan.pick:
            return f"{plan.pick}, which has {trial.state}"
    return f"{plan.pick}; no trial has that number"


def final_request(plan: Search, result: SearchResult, trial: Trial) -> RunRequest:
    """Returns the request for an ordinary run of a trial, with evaluation and gate."""
    origin = f"{result.run_id} trial {trial.number}"
    return replace(plan.request, params=trial.params, until=run.STEPS[-1], trial=origin)
