"""The study of a search and its trials, by Optuna in an SQLite file: a killed search continues from it."""

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


STUDY_NAME = "tune"
RANDOM_TRIALS = 6  # before what was learned from earlier ones leads to the next
UNPRUNED_TRIALS = 3  # before there is a median to fall behind
WARM_UP_SHARE = 10  # of the epochs, one in so many, and the first, in which nothing is pruned
MIN_TRIALS_FOR_IMPORTANCE = 4
STORED_FIELDS = ("params", "epochs", "seconds", "reason")
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
            storage=storage, study_name=STUDY_NAME, direction=direction, pruner=pruner, load_if_exists=True
        )
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(space.optuna_params())

    def interrupted(self) -> list[Trial]:
        """Ends the trials that no process carries on any more, and puts their proposals before the next ones."""
        dead = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in dead:
            proposed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            open_trial = optuna.Trial(self._study, trial._trial_id)  # noqa: SLF001  (the only way back to a trial)
            open_trial.set_user_attr(INTERRUPTED, value=True)
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(proposed)
        return [self._trial(self._study.get_trials()[trial.number]) for trial in dead]

    def trials(self) -> list[Trial]:
        """The trials that have ended by themselves."""
        ended = self._study.get_trials(deepcopy=False, states=tuple(STATES))
        return [self._trial(trial) for trial in ended if INTERRUPTED not in trial.user_attrs]

    def best(self) -> Trial | None:
        """The complete trial with the best objective, the first of equal ones."""
        complete = [trial for trial in self.trials() if trial.state == COMPLETE]
        return min(complete, key=self.order, default=None)

    def order(self, trial: Trial) -> float:
        """A number that is smaller for a better trial."""
        assert trial.value is not None
        return -trial.value if self.maximize else trial.value

    def ask(self) -> RunningTrial:
        """The next trial."""
        place = int(hashing.digest([self._seed, len(self.trials())])[:8], 16)
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=place)
        return RunningTrial(self._study, self._study.ask(), self.space)

    def importances(self) -> dict[str, float]:
        """How much of the objective's spread each hyperparameter explains, the greatest first; empty after few trials.

        Of an architecture, the number of layers and their widths together.
        """
        if sum(trial.state == COMPLETE for trial in self.trials()) < MIN_TRIALS_FOR_IMPORTANCE:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are few trials, which the reader sees
            shares = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        shares_by_name = dict.fromkeys(self.space.dimensions, 0.0)
        for name, share in shares.items():
            shares_by_name[name.partition(".")[0]] += float(share)
        return dict(sorted(shares_by_name.items(), key=lambda item: -item[1]))

    def _trial(self, frozen: FrozenTrial) -> Trial:
        fields = {name: frozen.user_attrs[name] for name in STORED_FIELDS if name in frozen.user_attrs}
        fields["params"] = restore_params(fields.get("params", {}))
        state = INTERRUPTED if INTERRUPTED in frozen.user_attrs else STATES[frozen.state]
        return Trial(frozen.number, state=state, value=frozen.value if state == COMPLETE else None, **fields)


class RunningTrial:
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

    def end(self, trial: Trial) -> None:
        """Keeps what came of it."""
        for name in set(STORED_FIELDS) - {"params"}:
            self._trial.set_user_attr(name, getattr(trial, name))
        state = {word: state for state, word in STATES.items()}[trial.state]
        self._study.tell(self._trial, trial.value if trial.state == COMPLETE else None, state=state)


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
