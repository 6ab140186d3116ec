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
RANDOM_TRIALS = 6  # random trials before the sampler uses earlier results
UNPRUNED_TRIALS = 3  # trials before pruning by the median begins
WARM_UP_SHARE = 10  # no pruning in the first 1/10 of the epochs, and in the first epoch
MIN_TRIALS_FOR_IMPORTANCE = 4
STORED_FIELDS = ("params", "epochs", "seconds", "reason")
COMPLETE, PRUNED, FAILED, INTERRUPTED = "complete", "pruned", "failed", "interrupted"
STATES = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}


class Study:
    """Proposes trials and stores their results.

    Args:
        path: The SQLite file.
        space: The search space.
        maximize: Whether a larger objective is better.
        seed: Seed of the proposals. Each depends on this seed, its number, and the trials before it, so that an
            interrupted search makes the same proposals.
        epochs: Epochs of a complete trial.
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

    def requeue_interrupted(self) -> list[Trial]:
        """Ends trials whose process has died, queues their parameters again, and returns them."""
        dead = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in dead:
            proposed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            open_trial = optuna.Trial(self._study, trial._trial_id)  # noqa: SLF001  (the only way back to a trial)
            open_trial.set_user_attr(INTERRUPTED, value=True)
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(proposed)
        return [self._trial(self._study.get_trials()[trial.number]) for trial in dead]

    def trials(self) -> list[Trial]:
        """Returns the trials that have ended and were not interrupted."""
        ended = self._study.get_trials(deepcopy=False, states=tuple(STATES))
        return [self._trial(trial) for trial in ended if INTERRUPTED not in trial.user_attrs]

    def best(self) -> Trial | None:
        """Returns the complete trial with the best objective, the first of equal ones."""
        complete = [trial for trial in self.trials() if trial.state == COMPLETE]
        return min(complete, key=self.order, default=None)

    def order(self, trial: Trial) -> float:
        """Returns a sort key that is smaller for a better trial."""
        assert trial.value is not None
        return -trial.value if self.maximize else trial.value

    def ask(self) -> RunningTrial:
        """Starts the next trial."""
        place = int(hashing.digest([self._seed, len(self.trials())])[:8], 16)
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=place)
        return RunningTrial(self._study, self._study.ask(), self.space)

    def importances(self) -> dict[str, float]:
        """Returns the share of the objective's variance by hyperparameter, largest first; empty after few trials.

        For an architecture, the number of layers and their widths count together.
        """
        if sum(trial.state == COMPLETE for trial in self.trials()) < MIN_TRIALS_FOR_IMPORTANCE:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning that there are few trials
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
    """A trial in progress.

    Args:
        study: Optuna's study.
        trial: Optuna's trial.
        space: The search space.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, space: Space) -> None:
        self._study, self._trial = study, trial
        self.number = trial.number
        self.params = space.suggest(trial)
        trial.set_user_attr("params", self.params)

    def report(self, epoch: int, value: float) -> bool:
        """Records the objective after an epoch; returns whether the trial should continue."""
        self._trial.report(value, epoch)
        return not self._trial.should_prune()

    def end(self, trial: Trial) -> None:
        """Stores the result."""
        for name in set(STORED_FIELDS) - {"params"}:
            self._trial.set_user_attr(name, getattr(trial, name))
        state = {word: state for state, word in STATES.items()}[trial.state]
        self._study.tell(self._trial, trial.value if trial.state == COMPLETE else None, state=state)


@dataclass
class Trial:
    """Hyperparameters and result of a trial.

    Attributes:
        number: From 0, in the order of the search.
        params: All hyperparameters.
        state: "complete", "pruned", "failed" or "interrupted".
        value: The objective of the restored weights; None without a result.
        epochs: Number of trained epochs.
        seconds: Duration in seconds.
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
        """Returns the object of `--json`."""
        return asdict(self)
