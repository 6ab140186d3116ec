"""A task in its container: `python -m pipeline.kubeflow --step=STEP --request=JSON` and the arguments by TFX.

TFX's own entry point runs the executor; around it, this module does what `keraspipe run` does around a step: it writes
the journal, from which MLflow is updated, checks the data, and evaluates the gate.

The exit codes are those of `keraspipe run`: 3 is a model that is not blessed.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from pipeline import subprocesses
from pipeline.console import exit_now
from pipeline.errors import PipelineError
from pipeline.kubeflow.compiler import RUN_PARAMETER
from pipeline.kubeflow.invocation import Invocation
from pipeline.settings import Settings, from_environment
from pipeline.store import fileio, layout


def main(arguments: list[str] | None = None) -> int:
    """Does one step; returns 0 done, 1 failed, 3 not blessed."""
    options, beam = _parser().parse_known_args(arguments)
    settings = from_environment()
    subprocesses.configure_tensorflow(deterministic=settings.deterministic)
    sys.argv = sys.argv[:1]  # TFX hands the rest to Beam as its options
    try:
        return _run_step(options, beam, settings)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _run_step(options: Namespace, beam: list[str], settings: Settings) -> int:
    from pipeline.kubeflow import task

    wanted = task.parse_request(options.request, settings)
    home = wanted.settings.workspace
    layout.prepare(home)
    call = Invocation(options.json_serialized_invocation_args, home.recipe_artifacts(wanted.name))
    executor = task.Executor(options.executor_class_path, options.json_serialized_inputs_spec_args, beam)
    run_id = f"{wanted.name}-{call.parameters.pop(RUN_PARAMETER)}"
    # Two runs at the same time would share checkpoints.
    with fileio.lock(home.request_lock(wanted.key)):
        return task.run_step(options.step, wanted, run_id, call, executor)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m pipeline.kubeflow", allow_abbrev=False)
    for name in ("step", "request", "executor_class_path", "json_serialized_invocation_args"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args")
    return parser


if __name__ == "__main__":
    exit_now(main())
