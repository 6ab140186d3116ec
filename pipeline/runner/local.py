"""Runs the steps of a pipeline one by one in this process; TFX's launcher executes each of them."""

from __future__ import annotations

import secrets
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.runner import dag, hooks, mlmd
from pipeline.steps.publish import ChampionChangedError
from pipeline.store import journal

# isort: split
from tfx.dsl.compiler.compiler import Compiler
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.runner.digests import StepDigests
    from pipeline.runner.state import RunState


UNDECLARED = ("resolve", "evaluate")  # steps whose components do not declare a digest
NEVER_CACHED = ("gate", "register", "publish")
MANY_COLUMNS = 100
EVALUATION_STEPS, PUBLICATION_STEPS = ("evaluate", "score", "gate"), ("register", "publish")


def run_steps(state: RunState) -> None:
    """Runs all steps; again from `resolve` if another run has published meanwhile."""
    if not state.request.cache:
        shutil.rmtree(state.checkpoints, ignore_errors=True)
    while True:
        try:
            return _run_steps_once(state)
        except ChampionChangedError:
            state.result.steps.clear()


def _run_steps_once(state: RunState) -> None:
    _choose_batching(len(state.recipe.data.inputs))
    pipeline = _compile_pipeline(state)
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    with mlmd.open_store(state.workspace) as store:
        mlmd.fail_dead_executions(store, state.workspace, state.result.run_id)
    for node in pipeline.nodes:
        step = node.pipeline_node.node_info.id
        if is_unneeded(state, step):
            skip_step(state, step)
        else:
            _launch_step(state, step, node.pipeline_node, pipeline, deployment)
        if step == state.request.until:
            return


def _choose_batching(columns: int) -> None:
    """Sets how Beam cuts rows into batches: of a table with many columns by bytes, else by the clock.

    The clock begins with batches of one row, and each batch costs a second for some thousand columns. Images stay with
    it: a few bytes of them unpack to many.
    """
    from absl import flags
    from tfx_bsl.coders import batch_util  # noqa: F401  (it declares the flag)

    flags.FLAGS.set_default("tfxio_use_byte_size_batching", columns > MANY_COLUMNS)


def is_unneeded(state: RunState, step: str) -> bool:
    """Returns whether a step can be skipped: the model is evaluated or live already, or not blessed."""
    if step in EVALUATION_STEPS:
        return state.is_judged
    return step in PUBLICATION_STEPS and (state.is_live or state.result.blessed is False)


def _compile_pipeline(state: RunState) -> Any:
    request = state.request
    pipeline = Compiler().compile(dag.build_pipeline(request, state.recipe, state.digests, state.result.run_id))
    # Every attempt has its own id: TFX would take a second attempt under the same id for the first.
    attempt = f"{state.result.run_id}@{secrets.token_hex(3)}"
    runtime_parameter_utils.substitute_runtime_parameter(pipeline, {"pipeline-run-id": attempt})
    for node in pipeline.nodes:
        _add_code_digest(node.pipeline_node, state.digests)
        fresh = node.pipeline_node.node_info.id in NEVER_CACHED or not request.cache
        node.pipeline_node.execution_options.caching_options.enable_cache = not fresh
    return pipeline


def _add_code_digest(node: Any, digests: StepDigests) -> None:
    """Adds the digest of a step's code to what TFX's cache compares, where the component has no parameter for it."""
    step = node.node_info.id
    if step in UNDECLARED:
        node.parameters.parameters["code_digest"].field_value.string_value = getattr(digests, step)


def skip_step(state: RunState, step: str) -> None:
    """Records that a step was not needed."""
    journal.report("step", name=step, state="skipped", seconds=0.0, order=len(state.result.steps))
    state.result.steps.append({"name": step, "seconds": 0.0, "cached": False, "skipped": True})


def _launch_step(state: RunState, step: str, node: Any, pipeline: Any, deployment: Any) -> None:
    places = {state.workspace.root: "WORKSPACE", state.request.source.path.parent: "RECIPES"}
    with (
        time_step(state, step) as entry,
        _report_execution(state, step, pipeline),
        hooks.keep_rows_report(state),
        mlmd.cache_by_place(places | {state.request.settings.data: "DATA"}),
    ):
        info = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=mlmd.open_store(state.workspace),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, step),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, step),
        ).launch()
        with mlmd.open_store(state.workspace) as store:
            state.artifacts[step] = mlmd.output_artifacts(store, info.execution_id)
            entry["cached"] = mlmd.is_cached(store, info.execution_id)
        follow_up = getattr(hooks, step, None)
        if follow_up:
            follow_up(state, cached=entry["cached"])


@contextmanager
def _report_execution(state: RunState, step: str, pipeline: Any) -> Iterator[None]:
    """Writes ML Metadata's record of a step to the journal, also if the step failed."""
    try:
        yield
    finally:
        attempt = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
        with mlmd.open_store(state.workspace) as store:
            event = mlmd.execution_to_event(store, state.workspace, attempt, f"{state.request.name}.{step}")
        if event:
            journal.report("execution", name=step, **event)


@contextmanager
def time_step(state: RunState, step: str) -> Iterator[dict[str, Any]]:
    """Records a step, its seconds and its state; the block may set `cached` of the yielded entry."""
    order, started = len(state.result.steps), time.monotonic()
    entry: dict[str, Any] = {"name": step, "seconds": 0.0, "cached": False}
    journal.report("step", name=step, state="started", seconds=0.0, order=order)
    outcome = "failed"
    try:
        yield entry
        outcome = "cached" if entry["cached"] else "done"
    finally:
        entry["seconds"] = round(time.monotonic() - started, 3)
        journal.report("step", name=step, state=outcome, seconds=entry["seconds"], order=order)
    state.result.steps.append(entry)
