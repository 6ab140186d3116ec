"""Child processes of keraspipe, their environment variables, and faster imports of large packages.

Other programs (docker, nvidia-smi, the user's own) are started by the modules that need them.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


KERAS_3 = {"TF_USE_LEGACY_KERAS": "0"}  # TensorFlow Transform sets it to 1 when it is imported
# AddN adds into the first of its inputs that nobody else still reads, so the order of three gradients, and with it
# their last digit, is a matter of timing unless operations run one after another. TensorFlow reads it once, early.
ORDERED_OPERATIONS = {"TF_NUM_INTEROP_THREADS": "1"}
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2"}
# MLflow's own defaults retry for minutes; here events wait in the journal instead.
MLFLOW_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
# The URI comes from the settings alone; an active run or experiment of the caller must not be used.
MLFLOW_REMOVED = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


@contextmanager
def pause_gc() -> Iterator[None]:
    """Pauses garbage collection, which takes a quarter of the time of large imports and finds nothing.

    The collector also ignores from then on all objects that exist at the end of the block.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


QUIET_MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # the current folder's project is not the model's
    "MPLBACKEND": "agg",
    **QUIET_TENSORFLOW,
}


def environment() -> dict[str, str]:
    """Returns the environment for a child process: ours, with the project's modules and Keras 3."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **KERAS_3, "PYTHONPATH": path}


def mlflow_environment() -> dict[str, str]:
    """Returns the environment for a child process in which MLflow runs."""
    inherited = {name: value for name, value in environment().items() if name not in MLFLOW_REMOVED}
    return {**MLFLOW_DEFAULTS, **inherited, **QUIET_MLFLOW}


def configure_tensorflow(*, deterministic: bool = False) -> None:
    """Makes TensorFlow use Keras 3 in this process; call it before TFX or a recipe is imported.

    Args:
        deterministic: Operations run one after another, each with all threads; `devices.configure` does the rest.
    """
    os.environ.update(KERAS_3)
    if deterministic:
        os.environ.update(ORDERED_OPERATIONS)


def use_quiet_mlflow() -> None:
    """Sets this process's environment for MLflow, unless it was started with `mlflow_environment`."""
    os.environ.update(QUIET_MLFLOW)
    for name, value in MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)


@contextmanager
def set_variables(**values: str) -> Iterator[None]:
    """Sets environment variables within the block, except those that the user has set."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def start_module(
    module: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts `python -m MODULE ARGUMENTS` in a new session: it may outlive us, and our Ctrl-C does not reach it.

    Args:
        module: Full dotted name.
        arguments: Its arguments.
        cwd: Its working directory.
        env: Its environment, as `environment` or `mlflow_environment` gives it.
        output: File for its stdout and stderr; None for our own.
    """
    return subprocess.Popen(  # noqa: S603  (our own program)
        _command(module, arguments),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env=env,
        start_new_session=True,
    )


def start_worker(module: str, *, cwd: Path, log: IO[bytes]) -> subprocess.Popen[str]:
    """Starts `python -m MODULE` as a worker that reads lines from stdin and answers on stdout.

    Args:
        module: Full dotted name.
        cwd: Its working directory.
        log: File for its stderr.
    """
    return subprocess.Popen(  # noqa: S603  (our own program)
        _command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=cwd,
        env={**environment(), **QUIET_TENSORFLOW},
    )


def run_module(module: str, arguments: Sequence[str], stdout: IO[str] | None = None) -> int:
    """Runs `python -m MODULE ARGUMENTS` and returns its exit code; stdout is ours unless it is given."""
    command = _command(module, arguments)
    return subprocess.run(command, check=False, stdout=stdout, env=environment()).returncode  # noqa: S603  (our own program)


def _command(module: str, arguments: Sequence[str] = ()) -> list[str]:
    return [sys.executable, "-P", "-m", module, *arguments]  # -P: whatever lies in the current folder is no module
