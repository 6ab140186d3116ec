"""Runs one step of a run on Kubeflow, from the state that the previous step has saved.

The state of the run is stored next to its journal, because each task is a separate process, on any machine.
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
from pipeline.runner import execution, hooks, local
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
CARRIED_FIELDS = ("data", "judged_against", "model", "is_live", "is_judged")


@dataclass(frozen=True)
class Executor:
    """Arguments of TFX's entry point.

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


def run_step(step: str, wanted: RunRequest, run_id: str, call: Invocation, executor: Executor) -> int:
    """Does a step and records it; returns 0, or 3 where the model is not blessed.

    Raises:
        Exception: Any failure of the step; it is recorded in the run.
    """
    settings = wanted.settings
    folder = settings.workspace.run(run_id)
    with run_session(folder, settings.mlflow_uri, timeout_s=RECORDING_TIMEOUT_S) as session:
        state = load_state(wanted, run_id)
        _start_step(session, state, step)
        _execute(state, step, call, executor)
        save_state(state)
        if state.result.blessed is False or step == run.STEPS[-1]:
            return _end_run(session, state)
        session.suspend()
    return 0


def _start_step(session: RunSession, state: RunState, step: str) -> None:
    """Records the start in each task again, because the recorder marks a run whose process has ended as killed."""
    session.start_run(state.request, data_digest=state.data, runner="kubeflow")
    if step == run.STEPS[0]:
        reproduce.save_request(state.request, session.folder)
    if step == "train":  # other steps may be on a machine of another kind
        session.record_environment()


def _execute(state: RunState, step: str, call: Invocation, executor: Executor) -> None:
    if local.is_unneeded(state, step):
        call.skip()
        local.skip_step(state, step)
        return
    _fill_parameters(call, state)
    with local.time_step(state, step), hooks.keep_rows_report(state), _explain_champion_change(state):
        executor(call)
        record_outputs(state, step, call.outputs())
        follow_up = getattr(hooks, step, None)
        if follow_up:
            follow_up(state, cached=False)


@contextmanager
def _explain_champion_change(state: RunState) -> Iterator[None]:
    try:
        yield
    except ChampionChangedError as error:
        raise PipelineError(
            f"Another run of {state.request.name} has published while this one went on.",
            expected="the champion that the model was compared with",
            received="a newer one",
            action="start the run again in Kubeflow; it is compared with the newer one",
        ) from error


def _fill_parameters(call: Invocation, state: RunState) -> None:
    """Sets what was not known when the pipeline was compiled: the run, and the digests of data and code."""
    if "run_id" in call.parameters:
        call.parameters["run_id"] = state.result.run_id
    if "basis" in call.parameters:
        call.parameters["basis"] = runner_digests.verdict_basis(
            state.digests, state.recipe.gate, quick=state.request.quick
        )
    if "run_fn" in call.parameters:
        call.parameters["custom_config"] = json.dumps(runner_digests.training_config(state.request, state.digests))


def _end_run(session: RunSession, state: RunState) -> int:
    result = state.result
    result.seconds = round(sum(entry["seconds"] for entry in result.steps), 1)
    result.mlflow_run_id = recorder.read_outcome(session.folder).mlflow_run_id or None
    save_state(state)
    if result.blessed:
        execution.try_write_card(state.request, session)
    session.warn_unrecorded(session.end_run(result))
    if result.blessed is False:
        print("\n  - ".join(["Not blessed, nothing is published:", *result.reasons]), file=sys.stderr)
        return NOT_BLESSED
    return 0


def parse_request(text: str, settings: Settings) -> RunRequest:
    """Reads the request that `keraspipe compile` has written into the task."""
    fields = json.loads(text)
    params = {name: tuple(value) if isinstance(value, list) else value for name, value in fields["params"].items()}
    source = catalog.find_recipe(fields["name"], settings)
    return run.RunRequest(source, settings, params, quick=fields["quick"], seed=fields["seed"], alias=fields["alias"])


def load_state(wanted: RunRequest, run_id: str) -> RunState:
    """Reads the state that the last task has saved; a new one for the first task."""
    recipe, content = (
        catalog.pin_recipe(wanted.source),
        fileio.read_json(wanted.settings.workspace.run(run_id).kubeflow_state),
    )
    files = recipe.data.files(wanted.settings.data)
    if content is None:
        data = run.data_digest(wanted, files)
        return RunState(
            wanted,
            recipe,
            run.RunResult(run_id, wanted.name, quick=wanted.quick),
            files,
            data,
            runner_digests.compute_digests(wanted, recipe, data),
        )
    digests, result = runner_digests.StepDigests(**content["digests"]), run.RunResult(**content["result"])
    state = RunState(wanted, recipe, result, files, digests=digests, **{name: content[name] for name in CARRIED_FIELDS})
    for step, outputs in content["artifacts"].items():
        record_outputs(state, step, outputs)
    return state


def record_outputs(state: RunState, step: str, outputs: dict[str, str]) -> None:
    """Records the paths of a step's outputs."""
    state.artifacts[step] = {name: SimpleNamespace(uri=path) for name, path in outputs.items()}


def save_state(state: RunState) -> None:
    """Saves the state for the next task, and the result for `keraspipe runs`."""
    artifacts = {
        step: {name: artifact.uri for name, artifact in outputs.items()} for step, outputs in state.artifacts.items()
    }
    content: dict[str, Any] = {name: getattr(state, name) for name in CARRIED_FIELDS}
    content |= {"digests": asdict(state.digests), "result": state.result.as_json(), "artifacts": artifacts}
    folder = state.request.settings.workspace.run(state.result.run_id)
    fileio.write_json(folder.kubeflow_state, content)
    fileio.write_json(folder.result, content["result"])
