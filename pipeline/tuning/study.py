"""The study of a search and its trials, by Optuna in an SQLite file: a killed search continues from it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from pipeline.recipe import restore_params
from pipeline.store import hashing
from pipeline.tuning.pareto import losses, pareto_front
from pipeline.tuning.trial import COMPLETE, FAILED, INTERRUPTED, PRUNED, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optuna.trial import FrozenTrial

    from pipeline.tuning.objectives import Objective
    from pipeline.tuning.space import Space


STUDY_NAME = "tune"
POPULATION = 10  # of NSGA-II: 6 to 50 found fronts alike in 20 to 80 trials; a small one evolves sooner
RANDOM_TRIALS = 6  # random trials before the sampler uses earlier results
UNPRUNED_TRIALS = 3  # trials before pruning by the median begins
WARM_UP_SHARE = 10  # no pruning in the first 1/10 of the epochs, and in the first epoch
MIN_TRIALS_FOR_IMPORTANCE = 4
STORED_FIELDS = ("params", "epochs", "seconds", "reason")
STATES = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}


class Study:
    """Proposes trials and stores their results.

    Args:
        path: The SQLite file.
        space: The search space.
        objectives: What to improve: one by TPE, with pruning; several by NSGA-II, without.
        seed: Seed of the proposals. Each depends on this seed, its number, and the trials before it, so that an
            interrupted search makes the same proposals.
        epochs: Epochs of a complete trial.

    Source of NSGA-II: K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, IEEE Transactions on Evolutionary Computation 6(2),
    2002.
    """

    def __init__(self, path: Path, space: Space, *, objectives: Sequence[Objective], seed: int, epochs: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space if len(objectives) == 1 else space.with_equal_genes()
        self.objectives = objectives
        self._seed = seed
        pruner = optuna.pruners.MedianPruner(UNPRUNED_TRIALS, n_warmup_steps=2 + epochs // WARM_UP_SHARE)
        directions = [StudyDirection.MAXIMIZE if each.maximize else StudyDirection.MINIMIZE for each in objectives]
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        self._study = optuna.create_study(
            storage=storage, study_name=STUDY_NAME, directions=directions, pruner=pruner, load_if_exists=True
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

    def ranking(self) -> list[Trial]:
        """Returns the complete trials, the best first and the first of equal ones; of several objectives the front."""
        if len(self.objectives) > 1:
            return pareto_front(self.trials(), self.objectives)
        complete = [trial for trial in self.trials() if trial.state == COMPLETE]
        return sorted(complete, key=lambda trial: losses(trial, self.objectives))

    def ask(self) -> RunningTrial:
        """Starts the next trial."""
        place = int(hashing.digest([self._seed, len(self.trials())])[:8], 16)
        if len(self.objectives) > 1:
            self._study.sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=place)
        else:
            self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=place)
        return RunningTrial(self._study, self._study.ask(), self.space)

    def importances(self) -> dict[str, float]:
        """Returns the share of the objective's variance by hyperparameter, largest first.

        Empty after few trials and with several objectives.

        For an architecture, the number of layers and their widths count together.
        """
        few = sum(trial.state == COMPLETE for trial in self.trials()) < MIN_TRIALS_FOR_IMPORTANCE
        if few or len(self.objectives) > 1:
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
        if state == COMPLETE:
            names = [objective.name for objective in self.objectives]
            fields["values"] = dict(zip(names, frozen.values, strict=True))
        return Trial(frozen.number, state=state, **fields)


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
        """Records the objective after an epoch; returns whether the trial should continue. Of several, all do."""
        if len(self._study.directions) > 1:
            return True
        self._trial.report(value, epoch)
        return not self._trial.should_prune()

    def end(self, trial: Trial) -> None:
        """Stores the result."""
        for name in set(STORED_FIELDS) - {"params"}:
            self._trial.set_user_attr(name, getattr(trial, name))
        state = {word: state for state, word in STATES.items()}[trial.state]
        self._study.tell(self._trial, list(trial.values.values()) if trial.state == COMPLETE else None, state=state)
