"""The search: holds its run, has trials trained up to the requested number, and records what came of them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.runner.lifecycle import run_session
from pipeline.store import fileio, journal
from pipeline.tuning import front, worker
from pipeline.tuning.trial_loop import TrialLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.runner.lifecycle import RunSession
    from pipeline.store.layout import RunFolder
    from pipeline.tuning.plan import Search, SearchResult
    from pipeline.tuning.trial import Trial
    from pipeline.tuning.worker import Preparation

RECORDING_TIMEOUT_S = 60.0


def search(plan: Search, show: Callable[[Trial, list[Trial]], None], waiting: Callable[[], None]) -> SearchResult:
    """Starts or continues a search until it has the requested number of trials.

    Args:
        plan: The request.
        show: (trial, ranking so far), called when a trial has ended.
        waiting: Called when another process runs the same search.

    Raises:
        PipelineError: No trial was completed.
        UsageError: The trial to pick is not on the front.
    """
    home = plan.request.settings.workspace
    # Transform runs in this process: it must leave the GPU to the process that trains.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    ready = worker.prepare_data(plan.request, plan.space.base, waiting)
    folder, uri = home.run(plan.run_id(ready.data_digest)), plan.request.settings.mlflow_uri
    if not plan.trials and not folder.study.exists():
        raise _nothing_to_pick_error(plan)
    with (
        fileio.lock(home.runs_lock, shared=True),
        run_session(folder, uri, timeout_s=RECORDING_TIMEOUT_S, on_wait=waiting) as session,
    ):
        _start_run(session, plan, ready)
        result = TrialLoop(plan, folder, show, waiting).run()
        result = replace(result, picked=front.find_pick(folder, plan, result.ranking)) if plan.has_front else result
        _save_result(folder, plan, result)
        session.warn_unrecorded(session.end("finished"))
    return result


def _start_run(session: RunSession, plan: Search, ready: Preparation) -> None:
    request = plan.request
    options = {"objective": plan.objective, "seed": request.seed, "quick": request.quick}
    tags = {"data_digest": ready.data_digest, "keraspipe.prepared_by": ready.run_id}
    tags["mlflow.source.name"] = f"keraspipe tune {request.name}"
    params = {**plan.space.base, **plan.space.describe(), **options}
    session.start(request.name, f"Search for hyperparameters: {request.source.heading.title}", params, tags)


def _save_result(folder: RunFolder, plan: Search, result: SearchResult) -> None:
    """Writes the best trial or the front to the journal, and the result of the run that `keraspipe runs` lists."""
    best = result.best
    if plan.has_front:
        front.report_front(folder, plan, result)
    else:
        journal.report("tuned", number=best.number, objective=plan.objective, value=best.value, params=best.params)
    summary = {"run_id": result.run_id, "recipe": plan.request.name, "metrics": best.values}
    fileio.write_json(folder.result, summary)


def _nothing_to_pick_error(plan: Search) -> UsageError:
    return UsageError(
        "There is no front to pick from: this search has no trial yet.",
        expected="the arguments of an earlier search, or --trials",
        received=f"--pick {plan.pick}",
        action=f"keraspipe tune {plan.request.name} --objectives {plan.objective} --trials 20, with its other options",
    )
