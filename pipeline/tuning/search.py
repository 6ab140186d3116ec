"""The search: runs one trial after the other and writes each to the journal, up to the requested number."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.recipes import fingerprint
from pipeline.runner.lifecycle import run_session
from pipeline.runs import run
from pipeline.store import fileio, hashing, journal
from pipeline.tuning import worker
from pipeline.tuning.study import COMPLETE, FAILED, PRUNED, Study, Trial
from pipeline.tuning.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.runner.lifecycle import RunSession
    from pipeline.runs.run import RunRequest
    from pipeline.store.layout import RunFolder
    from pipeline.tuning.space import Space
    from pipeline.tuning.study import RunningTrial
    from pipeline.tuning.worker import Preparation

MAX_FAILURES = 5  # the search stops after this many failures without a success
RECORDING_TIMEOUT_S = 60.0
MAXIMIZED_PREFIXES = (
    "acc",
    "auc",
    "f1",
    "precision",
    "recall",
    "r2",
    "io",
    "similarity",
)  # prefixes in names


@dataclass(frozen=True)
class Search:
    """A request for a search.

    Attributes:
        request: Recipe, settings, and the fixed hyperparameters.
        space: The search space.
        objective: The metric of the eval split to improve.
        trials: Number of trials, including those of earlier calls.
    """

    request: RunRequest
    space: Space
    objective: str
    trials: int

    @property
    def maximize(self) -> bool:
        """Whether a larger objective is better."""
        return any(word.startswith(MAXIMIZED_PREFIXES) for word in self.objective.split("_"))

    def run_id(self, data_digest: str) -> str:
        """Returns an id that is the same for the same request, data and code, so that a search can be continued."""
        request, settings = self.request, self.request.settings
        question = {
            "recipe": request.name,
            "code": [fingerprint.code_digest(request.source, step) for step in (*worker.PREPARATION_STEPS, "train")],
            "data": data_digest,
            "base": self.space.base,
            "searched": {name: str(dimension) for name, dimension in self.space.dimensions.items()},
            "options": [self.objective, request.seed, request.quick],
            "settings": [settings.distribution, settings.mixed_precision, settings.deterministic],
        }
        return f"tune-{request.name}-{hashing.digest(question)[:8]}"


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        run_id: Id of its run.
        trials: All trials that were not interrupted, in their order.
        best: The best complete trial.
        ranking: The complete trials, the best first.
        importances: Share of the objective's spread, by hyperparameter.
    """

    run_id: str
    trials: list[Trial]
    best: Trial
    ranking: list[Trial]
    importances: dict[str, float]


def search(plan: Search, show: Callable[[Trial, Trial | None], None], waiting: Callable[[], None]) -> SearchResult:
    """Starts or continues a search until it has the requested number of trials.

    Args:
        plan: The request.
        show: (trial, best so far), called when a trial has ended.
        waiting: Called when another process runs the same search.

    Raises:
        PipelineError: No trial was completed.
    """
    home = plan.request.settings.workspace
    # Transform runs in this process: it must leave the GPU to the process that trains.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    ready = worker.prepare_data(plan.request, plan.space.base, waiting)
    folder, uri = home.run(plan.run_id(ready.data_digest)), plan.request.settings.mlflow_uri
    with (
        fileio.lock(home.runs_lock, shared=True),
        run_session(folder, uri, timeout_s=RECORDING_TIMEOUT_S, on_wait=waiting) as session,
    ):
        _start_run(session, plan, ready)
        result = _TrialLoop(plan, folder, show, waiting).run()
        _save_result(folder, plan, result)
        session.warn_unrecorded(session.end("finished"))
    return result


def _start_run(session: RunSession, plan: Search, ready: Preparation) -> None:
    request = plan.request
    options = {"objective": plan.objective, "seed": request.seed, "quick": request.quick}
    tags = {"data_digest": ready.data_digest, "keraspipe.prepared_by": ready.run_id}
    tags["mlflow.source.name"] = f"keraspipe tune {request.name}"
    params = {**plan.space.base, **plan.space.describe(), **options}
    session.start(request.name, f"Search for hyperparameters: {request.source.title}", params, tags)


def _save_result(folder: RunFolder, plan: Search, result: SearchResult) -> None:
    """Writes the best trial to the journal, and the result of the run that `keraspipe runs` lists."""
    best = result.best
    journal.report("tuned", number=best.number, objective=plan.objective, value=best.value, params=best.params)
    summary = {"run_id": result.run_id, "recipe": plan.request.name, "metrics": {plan.objective: best.value}}
    fileio.write_json(folder.result, summary)


class _TrialLoop:
    """The trials of one call."""

    def __init__(
        self, plan: Search, folder: RunFolder, show: Callable[[Trial, Trial | None], None], waiting: Callable[[], None]
    ) -> None:
        self.plan, self.folder, self.show, self.waiting = plan, folder, show, waiting
        self.worker = Worker(folder.log)
        request = plan.request
        self.study = Study(
            folder.study,
            plan.space,
            maximize=plan.maximize,
            seed=request.seed,
            epochs=int(request.params["epochs"]),
        )

    def run(self) -> SearchResult:
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
        answer = self._train(running, trial)
        trial.state, trial.value = answer["state"], answer.get("value")
        trial.seconds, trial.reason = round(time.monotonic() - started, 1), answer.get("reason", "")
        running.end(trial)
        self._report_trial(trial)
        self.show(trial, self.study.best())

    def _train(self, running: RunningTrial, trial: Trial) -> dict[str, Any]:
        def report(epoch: int, metrics: dict[str, float]) -> bool:
            trial.epochs = epoch
            journal.report("trial_epoch", number=trial.number, epoch=epoch, metrics=metrics)
            return running.report(epoch, metrics[self.plan.objective])

        try:
            ready = worker.prepare_data(self.plan.request, trial.params, self.waiting)
        except PipelineError as error:
            return {"state": FAILED, "reason": str(error)}
        answer = self.worker.train(self._task(trial, ready), report)
        shutil.rmtree(self.folder.trial_checkpoints(trial.number), ignore_errors=True)
        if answer["state"] == "refused":
            raise PipelineError(answer["reason"])
        return answer

    def _task(self, trial: Trial, ready: Preparation) -> dict[str, Any]:
        request, settings = self.plan.request, self.plan.request.settings
        return {
            "recipe": str(request.source.path),
            "text": request.source.text,
            "params": trial.params,
            "objective": self.plan.objective,
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
        best = self.study.best()
        fields = {**trial.as_json(), "objective": self.plan.objective, "best": best.value if best else None}
        journal.report("trial", **fields)

    def _make_result(self) -> SearchResult:
        trials, best = self.study.trials(), self.study.best()
        if best is None:
            raise _all_failed_error(trials, self.folder)
        ranking = sorted((trial for trial in trials if trial.state == COMPLETE), key=self.study.order)
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


def final_request(plan: Search, result: SearchResult) -> RunRequest:
    """Returns the request for an ordinary run of the best trial, with evaluation and gate."""
    best, trial = result.best, f"{result.run_id} trial {result.best.number}"
    return replace(plan.request, params=best.params, until=run.STEPS[-1], trial=trial)
