"""One step of a run on Kubeflow, from the state that the step before it has left.

What the tasks of one run know of each other: the runner's state, kept beside the run's journal.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.recipes import catalog
from pipeline.runner import digests as runner_digests
from pipeline.runner import hooks, local
from pipeline.runner.lifecycle import run_session
from pipeline.runner.state import RunState
from pipeline.runs import reproduce, run
from pipeline.steps.publish import ChampionChangedError
from pipeline.store import fileio
from pipeline.tracking import recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.kubeflow.invocation import Invocation
    from pipeline.runner.lifecycle import RunSession
    from pipeline.runs.run import RunRequest
    from pipeline.settings import Settings


RECORDING_TIMEOUT_S = 600.0
NOT_BLESSED = 3
CARRIED = ("data", "judged_against", "model", "is_live", "is_judged")


@dataclass(frozen=True)
class Executor:
    """What TFX's entry point is told.

    Attributes:
        path: Dotted path of the executor's class.
        inputs: The component's inputs, as JSON.
        beam: Beam's options.
    """

    path: str
    inputs: str
    beam: list[str]

    def __call__(self, call: Invocation) -> None:
        """Runs the executor of TFX."""
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as entry

        options = Namespace(
            executor_class_path=self.path,
            json_serialized_invocation_args=call.local(),
            json_serialized_inputs_spec_args=self.inputs,
        )
        call.prepare()
        entry.main((options, self.beam))
        call.finish()


def done(step: str, wanted: RunRequest, run_id: str, call: Invocation, executor: Executor) -> int:
    """Does a step and records it; returns 0, or 3 where the model is not blessed.

    Raises:
        Exception: Whatever ended the step; the run's record has it.
    """
    settings = wanted.settings
    folder = settings.workspace.run(run_id)
    with run_session(folder, settings.mlflow_uri, timeout_s=RECORDING_TIMEOUT_S) as session:
        state = load_state(wanted, run_id)
        _begin(session, state, step)
        _step(state, step, call, executor)
        keep(state)
        if state.result.blessed is False or step == run.STEPS[-1]:
            return _ended(session, state)
        session.suspend()
    return 0


def _begin(session: RunSession, state: RunState, step: str) -> None:
    """Tells what is run, anew in each task: MLflow takes a run whose process ended for a killed one."""
    session.start_run(state.request, data_digest=state.data, runner="kubeflow")
    if step == run.STEPS[0]:
        reproduce.save_request(state.request, session.folder)
    if step == "train":  # other steps may be on a machine of another kind
        session.record_environment()


def _step(state: RunState, step: str, call: Invocation, executor: Executor) -> None:
    if local.is_unneeded(state, step):
        call.skip()
        local.skip_step(state, step)
        return
    _complete(call, state)
    with local.time_step(state, step), hooks.keep_rows_report(state), _published_alone(state):
        executor(call)
        remember(state, step, call.outputs())
        follow_up = getattr(hooks, step, None)
        if follow_up:
            follow_up(state, cached=False)


@contextmanager
def _published_alone(state: RunState) -> Iterator[None]:
    try:
        yield
    except ChampionChangedError as error:
        raise PipelineError(
            f"Another run of {state.request.name} has published while this one went on.",
            expected="the champion that the model was judged against",
            received="a newer one",
            action="start the run again in Kubeflow; it is judged against the newer one",
        ) from error


def _complete(call: Invocation, state: RunState) -> None:
    """Puts in what was not known when the pipeline was compiled: the run, and the digests of data and code."""
    if "run_id" in call.parameters:
        call.parameters["run_id"] = state.result.run_id
    if "basis" in call.parameters:
        call.parameters["basis"] = runner_digests.verdict_basis(
            state.digests, state.recipe.gate, quick=state.request.quick
        )
    if "run_fn" in call.parameters:
        call.parameters["custom_config"] = json.dumps(runner_digests.training_config(state.request, state.digests))


def _ended(session: RunSession, state: RunState) -> int:
    result = state.result
    result.seconds = round(sum(entry["seconds"] for entry in result.steps), 1)
    result.mlflow_run_id = recorder.outcome(session.folder).mlflow_run_id or None
    keep(state)
    if result.blessed:
        session.record_card(state.request.source)
    session.end_run(result)
    if result.blessed is False:
        print("\n  - ".join(["Not blessed, nothing is published:", *result.reasons]), file=sys.stderr)
        return NOT_BLESSED
    return 0


def request(text: str, settings: Settings) -> RunRequest:
    """The request that `keraspipe compile` has written into the task."""
    found = json.loads(text)
    params = {name: tuple(value) if isinstance(value, list) else value for name, value in found["params"].items()}
    source = catalog.find_recipe(found["name"], settings)
    return run.RunRequest(source, settings, params, quick=found["quick"], seed=found["seed"], alias=found["alias"])


def load_state(wanted: RunRequest, run_id: str) -> RunState:
    """The state as the last task has left it; a new one for the first."""
    recipe, kept = (
        catalog.pin_recipe(wanted.source),
        fileio.read_json(wanted.settings.workspace.run(run_id).kubeflow_state),
    )
    files = recipe.data.files(wanted.settings.data)
    if kept is None:
        data = run.data_digest(wanted, files)
        return RunState(
            wanted,
            recipe,
            run.RunResult(run_id, wanted.name),
            files,
            data,
            runner_digests.compute_digests(wanted, recipe, data),
        )
    digests, result = runner_digests.StepDigests(**kept["digests"]), run.RunResult(**kept["result"])
    found = RunState(wanted, recipe, result, files, digests=digests, **{name: kept[name] for name in CARRIED})
    for step, outputs in kept["artifacts"].items():
        remember(found, step, outputs)
    return found


def remember(found: RunState, step: str, outputs: dict[str, str]) -> None:
    """Notes where a step's outputs lie."""
    found.artifacts[step] = {name: SimpleNamespace(uri=path) for name, path in outputs.items()}


def keep(found: RunState) -> None:
    """Leaves the state to the next task, and the result to `keraspipe runs`."""
    artifacts = {step: {name: one.uri for name, one in outputs.items()} for step, outputs in found.artifacts.items()}
    kept: dict[str, Any] = {name: getattr(found, name) for name in CARRIED}
    kept |= {"digests": asdict(found.digests), "result": found.result.as_json(), "artifacts": artifacts}
    folder = found.request.settings.workspace.run(found.result.run_id)
    fileio.write_json(folder.kubeflow_state, kept)
    fileio.write_json(folder.result, kept["result"])
