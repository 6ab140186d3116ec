"""The trials of one call of a search: asks for values, has them trained, and writes each trial to the journal."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.store import journal
from pipeline.tuning import pareto, worker
from pipeline.tuning.plan import SearchResult
from pipeline.tuning.study import Study
from pipeline.tuning.trial import COMPLETE, FAILED, PRUNED, Trial
from pipeline.tuning.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.store.layout import RunFolder
    from pipeline.tuning.plan import Search
    from pipeline.tuning.study import RunningTrial
    from pipeline.tuning.worker import Preparation

MAX_FAILURES = 5  # the search stops after this many failures without a success


class TrialLoop:
    """The trials of one call."""

    def __init__(
        self, plan: Search, folder: RunFolder, show: Callable[[Trial, list[Trial]], None], waiting: Callable[[], None]
    ) -> None:
        self.plan, self.folder, self.show, self.waiting = plan, folder, show, waiting
        self.worker = Worker(folder.log)
        request = plan.request
        self.study = Study(
            folder.study,
            plan.space,
            objectives=plan.objectives,
            seed=request.seed,
            epochs=int(request.params["epochs"]),
        )

    def run(self) -> SearchResult:
        """Runs trials up to the number of the request.

        Raises:
            PipelineError: None was completed, or the network lacks an objective.
        """
        for dead in self.study.requeue_interrupted():
            self._report_trial(dead)
        try:
            while len(done := self.study.trials()) < self.plan.trials:
                _stop_if_hopeless(done, self.folder)
                self._run_trial(self.study.ask())
        finally:
            self.worker.close()
        return self._make_result()

    def _run_trial(self, running: RunningTrial) -> None:
        started = time.monotonic()
        trial = Trial(running.number, running.params)
        journal.report("trial", number=trial.number, state="started", params=trial.params)
        answer = self._find_equal(trial) or self._train(running, trial)
        trial.state, trial.values = answer["state"], answer.get("values", {})
        trial.seconds, trial.reason = round(time.monotonic() - started, 1), answer.get("reason", "")
        running.end(trial)
        self._report_trial(trial)
        self.show(trial, self.study.ranking())

    def _find_equal(self, trial: Trial) -> dict[str, Any] | None:
        """Returns the answer of an earlier equal trial: crossover gives children that are like a parent."""
        if not self.plan.has_front:
            return None
        equal = [other for other in self.study.trials() if other.state == COMPLETE and other.params == trial.params]
        if not equal:
            return None
        trial.epochs = equal[0].epochs
        return {"state": COMPLETE, "values": equal[0].values, "reason": f"as trial {equal[0].number}"}

    def _train(self, running: RunningTrial, trial: Trial) -> dict[str, Any]:
        def report(epoch: int, metrics: dict[str, float]) -> bool:
            trial.epochs = epoch
            journal.report("trial_epoch", number=trial.number, epoch=epoch, metrics=metrics)
            return running.report(epoch, metrics[self.plan.objective]) if not self.plan.has_front else True

        try:
            ready = worker.prepare_data(self.plan.request, trial.params, self.waiting)
        except PipelineError as error:
            return {"state": FAILED, "reason": str(error)}
        answer = self.worker.train(self._task(trial, ready), report)
        shutil.rmtree(self.folder.trial_checkpoints(trial.number), ignore_errors=True)
        if answer["state"] == "refused":
            raise PipelineError(answer["reason"])
        if "values" in answer:  # by the names of Keras
            answer["values"] = {each.name: answer["values"][each.metric or each.name] for each in self.plan.objectives}
        return answer

    def _task(self, trial: Trial, ready: Preparation) -> dict[str, Any]:
        request, settings = self.plan.request, self.plan.request.settings
        return {
            "recipe": str(request.source.path),
            "text": request.source.text,
            "params": trial.params,
            "metrics": [each.metric for each in self.plan.objectives if each.metric],
            "costs": [each.name for each in self.plan.objectives if not each.metric],
            "train": str(ready.train),
            "eval": str(ready.eval),
            "graph": str(ready.graph),
            "out": str(self.folder.trial(trial.number)),
            "config": {
                "seed": request.seed,
                "mixed_precision": settings.mixed_precision,
                "distribution": settings.distribution,
                "deterministic": settings.deterministic,
                "checkpoints": str(self.folder.trial_checkpoints(trial.number)),
            },
        }

    def _report_trial(self, trial: Trial) -> None:
        best = None if self.plan.has_front else next(iter(self.study.ranking()), None)
        fields = {**trial.as_json(), "objective": self.plan.objective, "best": best.value if best else None}
        journal.report("trial", **fields)

    def _make_result(self) -> SearchResult:
        trials, ranking, objectives = self.study.trials(), self.study.ranking(), self.plan.objectives
        if not ranking:
            raise _all_failed_error(trials, self.folder)
        best = pareto.balanced_point(ranking, objectives) if self.plan.has_front else ranking[0]
        assert best is not None
        return SearchResult(self.folder.run_id, trials, best, ranking, self.study.importances())


def _stop_if_hopeless(done: list[Trial], folder: RunFolder) -> None:
    if len(done) >= MAX_FAILURES and all(trial.state == FAILED for trial in done):
        raise _all_failed_error(done, folder)


def _all_failed_error(trials: list[Trial], folder: RunFolder) -> PipelineError:
    reasons = dict.fromkeys(trial.reason.replace("\n", " ") for trial in trials if trial.state != PRUNED)
    return PipelineError(
        f"All {len(trials)} trials failed.",
        expected="at least one complete trial",
        received="\n  ".join(["", *reasons]),
        action=f"read {folder.log}; the first trial has the recipe's own values: try `keraspipe run`",
    )
