"""The study of a search: Optuna's, in an SQLite file, so that a search that was killed goes on from it.

One trial of a search as it is shown and recorded.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from pipeline.recipe import restore_params
from pipeline.store import hashing

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.trial import FrozenTrial

    from pipeline.tuning.space import Space


NAME = "tune"
RANDOM_TRIALS = 6  # before what was learned from earlier ones leads to the next
UNPRUNED_TRIALS = 3  # before there is a median to fall behind
WARM_UP_SHARE = 10  # of the epochs, one in so many, and the first, in which nothing is pruned
LEAST_FOR_IMPORTANCE = 4
KEPT = ("params", "epochs", "seconds", "reason")
COMPLETE, PRUNED, FAILED, INTERRUPTED = "complete", "pruned", "failed", "interrupted"
STATES = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}


class Study:
    """Proposes trials and keeps what came of them.

    Args:
        path: The SQLite file.
        space: What is searched.
        maximize: Whether more of the objective is better.
        seed: Of the proposals. Each is drawn from this seed, its place, and the trials before it, so that a search
            that was interrupted proposes what it would have proposed.
        epochs: Of a whole trial.
    """

    def __init__(self, path: Path, space: Space, *, maximize: bool, seed: int, epochs: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        self.maximize = maximize
        self._seed = seed
        pruner = optuna.pruners.MedianPruner(UNPRUNED_TRIALS, n_warmup_steps=2 + epochs // WARM_UP_SHARE)
        direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        self._study = optuna.create_study(
            storage=storage, study_name=NAME, direction=direction, pruner=pruner, load_if_exists=True
        )
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(space.pinned())

    def interrupted(self) -> list[Trial]:
        """Ends the trials that no process carries on any more, and puts their proposals before the next ones."""
        dead = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for one in dead:
            proposed = {**one.system_attrs.get("fixed_params", {}), **one.params}
            open_trial = optuna.Trial(self._study, one._trial_id)  # noqa: SLF001  (the only way back to a trial)
            open_trial.set_user_attr(INTERRUPTED, value=True)
            self._study.tell(one.number, state=TrialState.FAIL)
            self._study.enqueue_trial(proposed)
        return [self._trial(self._study.get_trials()[one.number]) for one in dead]

    def trials(self) -> list[Trial]:
        """The trials that have ended by themselves."""
        ended = self._study.get_trials(deepcopy=False, states=tuple(STATES))
        return [self._trial(one) for one in ended if INTERRUPTED not in one.user_attrs]

    def best(self) -> Trial | None:
        """The complete trial with the best objective, the first of equal ones."""
        complete = [one for one in self.trials() if one.state == COMPLETE]
        return min(complete, key=self.order, default=None)

    def order(self, trial: Trial) -> float:
        """A number that is smaller for a better trial."""
        assert trial.value is not None
        return -trial.value if self.maximize else trial.value

    def ask(self) -> Running:
        """The next trial."""
        place = int(hashing.digest([self._seed, len(self.trials())])[:8], 16)
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=place)
        return Running(self._study, self._study.ask(), self.space)

    def importances(self) -> dict[str, float]:
        """How much of the objective's spread each hyperparameter explains, the greatest first; empty after few trials.

        Of an architecture, the number of layers and their widths together.
        """
        if sum(trial.state == COMPLETE for trial in self.trials()) < LEAST_FOR_IMPORTANCE:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are few trials, which the reader sees
            shares = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        found = dict.fromkeys(self.space.dimensions, 0.0)
        for name, share in shares.items():
            found[name.partition(".")[0]] += float(share)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _trial(self, one: FrozenTrial) -> Trial:
        kept = {name: one.user_attrs[name] for name in KEPT if name in one.user_attrs}
        kept["params"] = restore_params(kept.get("params", {}))
        state = INTERRUPTED if INTERRUPTED in one.user_attrs else STATES[one.state]
        return Trial(one.number, state=state, value=one.value if state == COMPLETE else None, **kept)


class Running:
    """A trial that is going on.

    Args:
        study: Optuna's study.
        trial: Optuna's trial.
        space: What is searched.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, space: Space) -> None:
        self._study, self._trial = study, trial
        self.number = trial.number
        self.params = space.suggest(trial)
        trial.set_user_attr("params", self.params)

    def report(self, epoch: int, value: float) -> bool:
        """Notes the objective after an epoch; returns whether the trial may go on."""
        self._trial.report(value, epoch)
        return not self._trial.should_prune()

    def end(self, ended: Trial) -> None:
        """Keeps what came of it."""
        for name in set(KEPT) - {"params"}:
            self._trial.set_user_attr(name, getattr(ended, name))
        state = {word: state for state, word in STATES.items()}[ended.state]
        self._study.tell(self._trial, ended.value if ended.state == COMPLETE else None, state=state)


@dataclass
class Trial:
    """What was tried, and what came of it.

    Attributes:
        number: From 0, in the order of the search.
        params: All hyperparameters.
        state: "complete", "pruned", "failed" or "interrupted".
        value: The objective of the weights that were kept; None if it never came so far.
        epochs: Epochs that were trained.
        seconds: How long it took.
        reason: Why it failed.
    """

    number: int
    params: dict[str, Any] = field(default_factory=dict)
    state: str = INTERRUPTED
    value: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        return asdict(self)
